"""The index: made of new parts alone, joined by copying, never the truth, and gone with what it is of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.search import index as module
from polyseme.storage.search.candidate_vectors import CandidateVectors
from polyseme.storage.search.index import IndexFiles, Progress
from polyseme.storage.search.one_bit import Frame
from polyseme.storage.search.pieces import PartError, frame_of, rows_of
from polyseme.storage.search.segment import Segment
from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.vectors import vectors
from tests import lakes
from tests.storage.search.indexes import SPEC, assert_is_of_the_parts, commit, of_rows, opened


@pytest.mark.parametrize("table", ["sentences", "words"])
def test_every_row_is_found_where_it_is(catalog: Catalog, table: str) -> None:
    commit(catalog, "a", "b", sentences=70)
    commit(catalog, "c")
    index = opened(catalog, table)
    assert_is_of_the_parts(catalog, index, table)
    assert sum(segment.rows for segment in index.segments) > 140


def test_only_new_parts_are_read_and_small_segments_are_joined(catalog: Catalog, cache: Path, made: list[str]) -> None:
    for n in range(30):
        commit(catalog, f"d{n}")
        assert_is_of_the_parts(catalog, opened(catalog))
        assert len(made) == n + 1
        assert len(list(cache.glob("*.codes"))) <= 8
    opened(catalog)
    assert len(made) == 30


def test_progress_is_told_and_what_was_done_before_a_stop_is_kept(
    catalog: Catalog, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.done == 6:
            raise StoppedError

    monkeypatch.setattr(module, "_MOST_ROWS", 3)
    told: list[Progress] = []
    for name in "abc":
        commit(catalog, name)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    with pytest.raises(StoppedError):
        IndexFiles(catalog.lake, snapshot, snapshot.default, "sentences").open(lambda: None, report)
    assert [progress.done for progress in told] == [0, 3, 6]
    assert {progress.rows for progress in told} == {9}
    assert_is_of_the_parts(catalog, opened(catalog))
    assert len(made) == 3


def test_a_stop_at_any_time_leaves_nothing_behind(catalog: Catalog, cache: Path) -> None:
    """While vectors are read for the frame, while cells are fitted, and while codes are written."""

    class StoppedError(Exception):
        pass

    commit(catalog, "a")
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    files = IndexFiles(catalog.lake, snapshot, snapshot.default, "sentences")
    stopped = 0
    while True:
        left = stopped

        def check() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise StoppedError

        try:
            files.open(check, lambda progress: None)
        except StoppedError:
            assert not list(cache.glob("*"))
            stopped += 1
        else:
            break
    assert stopped > 7


@pytest.mark.parametrize("what", ["emptied", "shortened", "changed", "of another lake's width"])
def test_a_damaged_segment_is_made_again(catalog: Catalog, cache: Path, what: str) -> None:
    commit(catalog, "a", "b")
    opened(catalog)
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    if what == "changed":
        data[-100] ^= 1
    file.write_bytes({"emptied": b"", "shortened": data[:200]}.get(what, bytes(data)))
    if what == "of another lake's width":
        shutil.copy(_of_width(catalog, 8, cache), file)
    assert_is_of_the_parts(catalog, opened(catalog))


@pytest.mark.parametrize("array", ["doc_id", "run_document", "run_sentence", "version", "range_at"])
def test_a_segment_that_would_name_other_rows_is_made_again(catalog: Catalog, cache: Path, array: str) -> None:
    commit(catalog, "a", "b")
    (segment,) = opened(catalog).segments
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    data[segment._file._places[array].at] ^= 1
    file.write_bytes(data)
    assert_is_of_the_parts(catalog, opened(catalog))
    assert list(cache.iterdir()) != [file]


@pytest.mark.parametrize(("rows", "share"), [(500, 1), (50, 0.1)])
def test_codes_are_around_the_middle_of_the_largest_parts(
    catalog: Catalog, rows: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PARTS_OF_FRAME", 2)
    monkeypatch.setattr(module, "_NUMBERS_OF_FRAME", rows * SPEC.width)
    for name, sentences in (("a", 1), ("b", 300), ("c", 200)):
        commit(catalog, name, sentences=sentences)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    parts = []
    for part in snapshot.parts[snapshot.default.encoding_id, "sentences"]:
        with catalog.lake.files.fetched(part) as file:
            parts.append((file, rows_of(file)))
    largest = sorted((part for part in parts if part[1] > 1), key=lambda part: -part[1])
    expected = frame_of([(file, round(share * n)) for file, n in largest], SPEC.width)
    assert np.array_equal(opened(catalog).segments[0].frame.centre, expected.centre)
    with connect(catalog.lake) as con:
        every = unit_rows(vectors(con.sql("SELECT embedding FROM sentences WHERE doc_id <> 'a'")))
    assert len(every) == 500
    assert np.allclose(expected.centre, every.mean(0), atol=1e-6) == (share == 1)


@pytest.fixture
def of_frame(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many vectors of each part frames are made of."""
    read: list[int] = []
    made = module.frame_of

    def counted(parts: Iterable[tuple[Path, int]], width: int, check: Callable[[], None]) -> Frame:
        found = list(parts)
        read.extend(rows for _, rows in found)
        return made(found, width, check)

    monkeypatch.setattr(module, "frame_of", counted)
    return read


def test_of_many_small_parts_as_many_are_read_as_have_vectors_enough(
    catalog: Catalog, of_frame: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PARTS_OF_FRAME", 2)
    monkeypatch.setattr(module, "_NUMBERS_OF_FRAME", 60 * SPEC.width)
    for name in "abcde":
        commit(catalog, name, sentences=20)
    opened(catalog)
    assert of_frame == [20, 20, 20]


def test_of_narrow_vectors_no_more_are_read_than_of_others(
    catalog: Catalog, of_frame: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS_OF_FRAME", 30)
    commit(catalog, "a", "b", sentences=100)
    opened(catalog)
    assert sum(of_frame) == 30


def _of_width(catalog: Catalog, width: int, cache: Path) -> Path:
    spec = lakes.make_spec(width=width)
    commit(catalog, "narrow", spec=spec)
    snapshot = catalog.snapshot()
    (encoding,) = (e for e in snapshot.encodings if e.encoding_id == spec.encoding_id)
    before = set(cache.iterdir())
    IndexFiles(catalog.lake, snapshot, encoding, "sentences").open(lambda: None, lambda progress: None)
    (new,) = set(cache.iterdir()) - before
    return new


def test_compaction_leaves_no_row_of_parts_that_are_gone(catalog: Catalog, cache: Path) -> None:
    for name in "abc":
        commit(catalog, name)
    opened(catalog)
    compact(catalog, CompactionPolicy())
    assert_is_of_the_parts(catalog, opened(catalog))
    assert sum(Segment(path, 70).rows for path in cache.iterdir()) == 9


def test_a_vacuum_takes_out_what_is_of_removed_parts_and_keeps_the_rest(
    catalog: Catalog, cache: Path, made: list[str]
) -> None:
    for name in "abcd":
        commit(catalog, name)
    opened(catalog)
    commit(catalog, "a")  # a new version
    compact(catalog, CompactionPolicy(target_bytes=1, min_dead=0.1))
    vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=1))
    live = {part for parts in catalog.snapshot().parts.values() for part in parts}
    kept = [Segment(path, 70) for path in cache.iterdir()]
    assert live.issuperset(part for segment in kept for part in segment.parts)
    assert_is_of_the_parts(catalog, opened(catalog))


def test_a_vacuum_removes_the_index_of_an_encoding_that_is_gone_and_of_no_other_lake(
    catalog: Catalog, cache: Path
) -> None:
    commit(catalog, "a")
    opened(catalog)
    (file,) = cache.iterdir()
    other = file.with_name("another-lake-0-sentences-0.codes")
    gone = file.with_name(file.name.replace(SPEC.encoding_id, "0" * 16))
    for path in (other, gone):
        shutil.copy(file, path)
    vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC))
    assert set(cache.iterdir()) == {file, other}


def test_a_part_that_is_gone_is_an_error_of_its_own(catalog: Catalog) -> None:
    commit(catalog, "a")
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    (path,) = snapshot.parts[snapshot.default.encoding_id, "sentences"]
    catalog.lake.files.remove([path])
    with pytest.raises(PartError):
        opened(catalog)


@pytest.mark.parametrize("store", ["int8", "binary"])
def test_vectors_of_a_smaller_tier_are_indexed_as_they_are_read(catalog: Catalog, store: str) -> None:
    lakes.commit(catalog, replace(SPEC, store=store), {"a": ["One.", "Two."], "b": ["Three."]})
    (segment,) = opened(catalog).segments
    vectors = CandidateVectors(catalog.lake).read(of_rows(segment, np.arange(3)), lambda: None).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.array_equal(segment.bits, segment.frame.encode(unit).bits[:, segment.order])
