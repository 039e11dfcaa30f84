"""Kept vectors of documents: those of the lake as it is, whatever became of it or of their file since."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.kept_documents import document_vectors, load
from polyseme.storage.sql.topics import document_vectors as in_sql
from tests import lakes

SPEC = lakes.make_spec()
TEXTS = {"a": ["The bank.", "A river.", "It rose."], "b": ["Money."], "none": []}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "document-sums"


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    lakes.commit(catalog, SPEC, TEXTS)
    read(catalog)
    return catalog


def read(catalog: Catalog) -> tuple[dict[str, list[float]], int]:
    """Return the vectors by document, and how often it was asked whether to stop: once a part of a few rows."""
    snapshot, checks = catalog.snapshot(), list[None]()
    assert snapshot.default is not None
    ids, vectors = document_vectors(
        snapshot, catalog.lake, snapshot.default, worth_keeping=0, check=lambda: checks.append(None)
    )
    assert ids.to_pylist() == sorted(ids.to_pylist())
    return dict(zip(ids.to_pylist(), vectors.tolist(), strict=True)), len(checks)


def assert_current(catalog: Catalog) -> None:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    with connect(catalog.lake, functions=lambda *_: None) as con:
        found = con.execute(in_sql(snapshot.default)).fetchall()
    # Not only nearly: plain DuckDB gives each document the topic that Polyseme does.
    assert {doc_id: list(vector) for doc_id, vector in found} == read(catalog)[0]


def test_the_vector_of_a_document_is_the_mean_of_its_sentences(filled: Catalog) -> None:
    with connect(filled.lake, functions=lambda *_: None) as con:
        rows = con.execute("SELECT doc_id, embedding FROM sentences").fetchall()
    found, _ = read(filled)
    for doc_id in "ab":
        mean: Floats = np.mean([vector for one, vector in rows if one == doc_id], axis=0, dtype=np.float64)
        assert found[doc_id] == mean.astype(np.float32).tolist()
    assert found.keys() == {"a", "b"}
    assert_current(filled)


def test_a_lake_that_has_not_changed_is_not_read_again(filled: Catalog) -> None:
    before, _ = read(filled)
    shutil.rmtree(filled.lake.data)
    assert read(filled) == (before, 0)


def test_of_a_lake_that_grows_only_new_parts_are_read(filled: Catalog) -> None:
    for doc_id in "cd":
        lakes.commit(filled, SPEC, {doc_id: ["New.", "Text."]})
        assert read(filled)[1] == 1
        assert_current(filled)


def test_a_document_that_is_replaced_deleted_or_restored_has_the_vector_of_its_text_now(filled: Catalog) -> None:
    lakes.commit(filled, SPEC, {"a": ["Other."]})
    assert_current(filled)
    version = filled.begin_run("deletes", SPEC.encoding_id, ["corpus"])
    filled.delete_documents(SPEC.encoding_id, ["b"], version=version)
    assert_current(filled)
    assert read(filled)[0].keys() == {"a"}
    lakes.commit(filled, SPEC, {"b": TEXTS["b"]})
    assert_current(filled)


def test_after_parts_are_merged_what_was_merged_is_read_again(filled: Catalog) -> None:
    for doc_id in "cde":
        lakes.commit(filled, SPEC, {doc_id: ["New.", "Text."]})
    before, _ = read(filled)
    compact(filled, CompactionPolicy())
    after, parts = read(filled)
    assert parts == 1
    assert after == before


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "folder"])
def test_a_file_that_is_broken_is_as_none(filled: Catalog, cache: Path, damage: str) -> None:
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "noise": os.urandom(4000), "empty": b""}[damage])
    assert_current(filled)


def test_a_byte_that_is_wrong_ends_no_process(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    whole, snapshot = file.read_bytes(), filled.snapshot()
    (encoding,) = snapshot.encodings
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        load(snapshot, encoding)  # what it finds may be wrong, it may not raise or crash


def test_vacuum_removes_what_is_kept_of_documents_that_are_gone(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    others = cache / "another-lake.arrow"
    others.write_bytes(b"")
    lakes.commit(filled, SPEC, {"c": ["Money."]})
    vacuum(filled, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert file.exists()  # it only lacks something
    version = filled.begin_run("deletes", SPEC.encoding_id, ["corpus"])
    filled.delete_documents(SPEC.encoding_id, ["a"], version=version)
    vacuum(filled, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert list(cache.iterdir()) == [others]


def test_a_small_lake_leaves_no_file(catalog: Catalog, cache: Path) -> None:
    lakes.commit(catalog, SPEC, TEXTS)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    document_vectors(snapshot, catalog.lake, snapshot.default)
    assert not cache.exists()


def test_a_broken_part_is_named_as_such(filled: Catalog) -> None:
    lakes.commit(filled, SPEC, {"c": ["Money."]})
    assert isinstance(filled.lake.root, Path)
    part = filled.lake.root / filled.snapshot().parts[SPEC.encoding_id, "sentences"][-1]
    part.chmod(0o600)
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(LakeError, match="polyseme verify"):
        read(filled)
