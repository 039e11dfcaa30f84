"""Arrays files: what was written is read, from the map of the file, and no damage leads out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.search.arrays_file import ArraysFile, ArraysWriter
from tests import lakes

MATRIX = np.arange(35, dtype=np.uint64).reshape(5, 7)


def written(path: Path) -> Path:
    with path.open("wb") as file:
        writer = ArraysWriter(file)
        writer.reserve("filled", np.uint64, MATRIX.shape)
        writer.add("halves", np.array([0.5, 2], np.float16))
        writer.fill("filled", 4, MATRIX[:, 4:])
        writer.fill("filled", 0, MATRIX[:, :4])
        writer.add("nothing", np.zeros((3, 0), np.int32))
        writer.end({"format": 1})
    return path


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = ArraysFile(written(tmp_path / "a"))
    assert found.about == {"format": 1}
    assert np.array_equal(found["filled"], MATRIX)
    assert found["halves"].tolist() == [0.5, 2]
    assert (found["nothing"].dtype, found["nothing"].shape) == (np.int32, (3, 0))
    with pytest.raises(ValueError, match="not all of other"):
        found["other"]


def test_they_stay_readable_when_the_file_is_removed_and_cannot_be_changed(tmp_path: Path) -> None:
    found = ArraysFile(written(tmp_path / "a"))
    (tmp_path / "a").unlink()
    assert np.array_equal(found["filled"], MATRIX)
    with pytest.raises(ValueError, match="read-only"):
        found["filled"][0] = 1


@pytest.mark.parametrize(("data", "says"), [(b"", "too short"), (b"x", "too short"), (b"x" * 1000, "no arrays")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match=says):
        ArraysFile(tmp_path / "a")


@given(st.data())
def test_whatever_is_damaged_is_refused_or_stays_inside(data: st.DataObject) -> None:
    with lakes.temporary() as folder:
        folder.mkdir()
        path = written(folder / "a")
        good = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(good) - 1))
        good[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(good[: data.draw(st.sampled_from([len(good), at]))])
        try:
            found = ArraysFile(path)
            assert found["filled"].shape == MATRIX.shape
            assert found["halves"].tolist() == [0.5, 2]
        except ValueError:
            pass
