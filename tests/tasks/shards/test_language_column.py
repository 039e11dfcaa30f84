"""`documents.language` is what a text was split by, and stays with the text whatever becomes of its row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from tests.tasks.conftest import Runs, document
from tests.tasks.text.test_language import TEXTS

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SHOWN = "SELECT doc_id, language FROM documents ORDER BY doc_id"


@pytest.fixture
def three(runs: Runs) -> Runs:
    runs.embed(document("de", TEXTS["de"]), document("en", TEXTS["en"]), document("unclear", "12 %"))
    return runs


EXPECTED = [("de", "de"), ("en", "en"), ("unclear", None)]


def test_it_is_what_was_found_in_each_text_and_null_where_nothing_was(three: Runs) -> None:
    assert three.rows(SHOWN) == EXPECTED
    assert three.rows("SELECT language FROM encodings") == [("auto",)]


@pytest.mark.parametrize("splitter", ["rules", "lines", "nupunkt"])
@pytest.mark.parametrize("language", ["fi", "en", "auto", None])
def test_a_language_that_is_named_is_that_of_every_text(tiny: Engine, splitter: str, language: str | None) -> None:
    engine = Engine(replace(tiny.config, splitter=splitter, language=language))
    texts = [Document(name, "file:///x", text) for name, text in (("de", TEXTS["de"]), ("unclear", "12 %"))]
    (chunk,) = engine.run(texts, Outputs("sentences", None, False), version=1, seed=0, ingested_at=NOW)
    found = dict(zip(*(chunk.tables["documents"][name].to_pylist() for name in ("doc_id", "language")), strict=True))
    told = None if language == "auto" else language
    if splitter == "nupunkt":  # which takes any text for English, as encodings of earlier releases were made
        told = None if language == "en" else told
    detects = language == "auto" or (language is None and splitter != "nupunkt")
    assert found == {"de": "de" if detects else told, "unclear": told}


def test_a_document_of_many_passages_and_chunks_has_one(monkeypatch: pytest.MonkeyPatch, tiny: Engine) -> None:
    monkeypatch.setattr("polyseme.tasks.text.passages.GROUP_CHARS", 100)
    monkeypatch.setattr(Engine, "chunk_tokens", 60)
    texts = [document("de", " ".join([TEXTS["de"]] * 20)), document("fr", TEXTS["fr"])]
    engine = Engine(EngineConfig(model=tiny.config.model, device="cpu"))
    chunks = list(engine.run(texts, Outputs("sentences", None, False), version=1, seed=0, ingested_at=NOW))
    found = [row for chunk in chunks if "documents" in chunk.tables for row in chunk.tables["documents"].to_pylist()]
    assert len(chunks) > 2
    assert [(row["doc_id"], row["language"]) for row in found] == [("de", "de"), ("fr", "fr")]


def test_a_text_that_is_described_anew_or_moved_keeps_it(three: Runs) -> None:
    scan = three.embed(
        document("de", TEXTS["de"], title="Hochwasser"),
        document("en", TEXTS["en"], uri="file:///elsewhere"),
        document("unclear", "12 %", title="Share"),
    )
    assert scan.tally.new == 0
    assert three.rows("SELECT title FROM documents WHERE doc_id = 'de'") == [("Hochwasser",)]
    assert three.rows("SELECT uri FROM documents WHERE doc_id = 'en'") == [("file:///elsewhere",)]
    assert three.rows(SHOWN) == EXPECTED


def test_one_that_is_copied_under_another_id_or_changed_has_its_own(three: Runs) -> None:
    three.embed(document("again", TEXTS["de"]), document("en", TEXTS["en"] + " Yes."))
    assert three.rows(SHOWN) == [("again", "de"), *EXPECTED]


def test_one_that_is_deleted_and_restored_and_compacted_keeps_it(three: Runs) -> None:
    catalog, encoding_id = three.catalog, three.engine.spec.encoding_id
    version = catalog.begin_run("deleting", encoding_id, [])
    assert catalog.delete_documents(encoding_id, ["de"], version=version) == 1
    assert three.rows(SHOWN) == EXPECTED[1:]
    (gone,) = deleted_documents(catalog)
    restore(catalog, [gone])
    assert three.rows(SHOWN) == EXPECTED
    three.embed(document("more", TEXTS["it"]))
    compact(catalog)
    assert three.rows(SHOWN) == [*EXPECTED[:2], ("more", "it"), EXPECTED[2]]


def test_parts_of_earlier_releases_read_as_null_and_merge_with_new_ones(three: Runs, lake: Lake) -> None:
    without_the_column(three.catalog, lake)
    assert three.rows(SHOWN) == [("de", None), ("en", None), ("unclear", None)]
    three.embed(document("de", TEXTS["de"], title="Hochwasser"), document("more", TEXTS["it"]))
    after = [("de", None), ("en", None), ("more", "it"), ("unclear", None)]
    assert three.rows(SHOWN) == after
    compact(three.catalog)
    assert three.rows(SHOWN) == after


def without_the_column(catalog: Catalog, lake: Lake) -> None:
    """Write the parts of documents as a release without the column did."""
    for path in catalog.snapshot().parts[(catalog.encodings()[0].encoding_id, "documents")]:
        place = lake.part_path(path)
        rows: pa.Table = pq.read_table(place, partitioning=None)
        place.chmod(0o644)
        pq.write_table(rows.drop_columns("language"), place)
