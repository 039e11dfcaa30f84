"""Exports to Hugging Face: shards that stay are the same files, and the card belongs to the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.tasks.exports import hf_dataset
from tests import lakes
from tests.extras import require
from tests.tasks.exports.lake_rows import SPEC, assert_same, expected, export
from tests.tasks.exports.read_back import FolderTarget


def shards(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in sorted((out / "data").iterdir())}


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_dataset, "_ROWS_A_SHARD", 2)
    monkeypatch.setattr(hf_dataset, "_SMALL", 2)
    monkeypatch.setattr("polyseme.tasks.exports.source._BATCH", 2048)


@pytest.mark.extra
@pytest.mark.usefixtures("small_shards")
def test_only_shards_with_a_change_are_written(catalog: Catalog, out: Path) -> None:
    require("datasets", "parity")
    target = FolderTarget("hf-dataset", out)
    export(catalog, target)
    before = shards(out)
    lakes.commit(catalog, SPEC, {"delta": ["New.", "And newer."]})
    export(catalog, target)
    after = shards(out)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    lakes.commit(catalog, SPEC, {"delta": ["Other."]})
    export(catalog, target)
    assert before.items() <= shards(out).items()
    assert_same(target.rows(), expected(catalog.lake, "hf-dataset"))


def test_a_small_shard_is_written_together_with_new_rows(catalog: Catalog, out: Path) -> None:
    for day in range(3):
        lakes.commit(catalog, SPEC, {f"day-{day}": ["A sentence."]})
        export(catalog, FolderTarget("hf-dataset", out))
        assert len(shards(out)) == 1


def test_a_card_that_the_user_wrote_stays(catalog: Catalog, out: Path) -> None:
    export(catalog, FolderTarget("hf-dataset", out))
    card = out / "README.md"
    assert "path: data/*.parquet" in card.read_text()
    card.write_text("Of mine.")
    lakes.commit(catalog, SPEC, {"delta": ["New."]})
    export(catalog, FolderTarget("hf-dataset", out))
    assert card.read_text() == "Of mine."
