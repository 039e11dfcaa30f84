"""Nearest sentences: exact, the same from memory and from Parquet, and never from an older version of the lake."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.schemas import embedding_type
from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.storage.sql import nearest
from polyseme.storage.sql.confinement import ConfinedThread
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.nearest import Neighbour, SentenceVectors
from polyseme.storage.sql.sentence_blocks import sentence_blocks
from tests import lakes

KEPT, STREAMED = 2**30, 0


def taken(catalog: Catalog) -> tuple[Snapshot, Encoding]:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return snapshot, snapshot.default


def brute_force(snapshot: Snapshot, lake: Lake, vector: np.ndarray, k: int) -> list[tuple[str, int]]:
    with open_snapshot(snapshot, lake) as con:
        rows = con.execute("SELECT doc_id, sentence_index, embedding FROM sentences").fetchall()

    def similarity(row: tuple[str, int, tuple[float, ...]]) -> float:
        stored = np.array(row[2], np.float64)
        return float(stored @ vector / np.linalg.norm(stored) / np.linalg.norm(vector))

    return [(doc, i) for doc, i, _ in sorted(rows, key=similarity, reverse=True)[:k]]


@pytest.mark.parametrize("cache_bytes", [KEPT, STREAMED])
def test_the_nearest_are_those_of_brute_force_and_cached_vectors_are_read_once(
    catalog: Catalog, lake: Lake, cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Snapshot] = []
    recorded = lambda *at: (reads.append(at[0]), sentence_blocks(*at))[1]  # noqa: E731
    monkeypatch.setattr(nearest, "sentence_blocks", recorded)
    spec = lakes.make_spec(width=16)
    for part in range(3):
        lakes.commit(catalog, spec, {f"d{part}{i}": ["One.", "Two.", "Three."] for i in range(5)})
    snapshot, encoding = taken(catalog)
    vectors = SentenceVectors(snapshot, lake, encoding, cache_bytes=cache_bytes)
    for seed in range(5):
        vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
        (found,) = vectors.nearest(vector[None], 7)
        assert [(n.doc_id, n.sentence_index) for n in found] == brute_force(snapshot, lake, vector, 7)
    assert len(reads) == (1 if cache_bytes == KEPT else 5)


@pytest.mark.parametrize("cache_bytes", [KEPT, STREAMED])
def test_only_the_documents_asked_for_are_searched(catalog: Catalog, lake: Lake, cache_bytes: int) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two."], "b": ["Three."]})
    vectors = SentenceVectors(*_of(catalog, lake), cache_bytes=cache_bytes)
    asked = np.ones((1, 4), np.float32)
    (found,) = vectors.nearest(asked, 9, docs=pa.array(["b", "gone"]))
    assert {n.doc_id for n in found} == {"b"}
    assert vectors.nearest(asked, 9, docs=pa.array([], pa.string())) == [[]]
    assert len(vectors.nearest(asked, 9)[0]) == 3


@pytest.mark.parametrize("cache_bytes", [KEPT, STREAMED])
def test_several_questions_are_answered_as_each_alone(catalog: Catalog, lake: Lake, cache_bytes: int) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two."], "b": ["Three."]})
    vectors = SentenceVectors(*_of(catalog, lake), cache_bytes=cache_bytes)
    asked = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    asked[2] = 0
    assert vectors.nearest(asked, 2) == [vectors.nearest(one[None], 2)[0] for one in asked]


def test_a_vector_with_nan_in_it_hides_no_other(catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(count: int, width: int) -> pa.Array:
        numbers = np.ones((count, width), np.float16)
        numbers[0, 0] = np.nan
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=embedding_type(width))

    monkeypatch.setattr(lakes, "vectors", broken)
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two.", "Three."]})
    (found,) = SentenceVectors(*_of(catalog, lake)).nearest(np.ones((1, 4), np.float32), 2)
    assert [(n.sentence_index, n.similarity) for n in found] == [(1, pytest.approx(1)), (2, pytest.approx(1))]


def test_ties_are_ranked_by_document_and_sentence_across_parts(
    catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(count: int, width: int) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(
            pa.array(np.ones(count * width, np.float16)), type=embedding_type(width)
        )

    monkeypatch.setattr(lakes, "vectors", same)
    for name in ("b", "a"):
        lakes.commit(catalog, lakes.make_spec(), {name: ["One.", "Two."]})
    (found,) = SentenceVectors(*_of(catalog, lake)).nearest(np.ones((1, 4), np.float32), 3)
    assert [(n.doc_id, n.sentence_index) for n in found] == [("a", 0), ("a", 1), ("b", 0)]
    assert found[0] == Neighbour("a", 0, pytest.approx(1.0))


@pytest.mark.parametrize("cache_bytes", [KEPT, STREAMED])
def test_an_empty_lake_and_a_vector_of_zeros_have_no_neighbours(catalog: Catalog, lake: Lake, cache_bytes: int) -> None:
    catalog.register_encoding(lakes.make_spec())
    vectors = SentenceVectors(*_of(catalog, lake), cache_bytes=cache_bytes)
    assert vectors.nearest(np.ones((1, 4), np.float32), 5) == [[]]
    assert vectors.nearest(np.zeros((1, 4), np.float32), 5) == [[]]


def test_vectors_get_length_1_and_what_has_none_becomes_zeros() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-3, 0], [1e-30, 0], [np.nan, 1], [np.inf, 1]], np.float32)
    unit = unit_rows(rows)
    assert unit.dtype == np.float32
    assert unit.tolist() == [pytest.approx([0.6, 0.8]), [0, 0], [1, 0], [0, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize("cache_bytes", [KEPT, STREAMED])
def test_a_thread_that_can_write_no_files_finds_them_too(catalog: Catalog, lake: Lake, cache_bytes: int) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two."]})
    vectors = SentenceVectors(*_of(catalog, lake), cache_bytes=cache_bytes)
    asked = np.ones((1, lakes.make_spec().width), np.float32)
    with ConfinedThread() as thread:
        assert thread.call(vectors.nearest, asked, 2) == vectors.nearest(asked, 2) != [[]]


def _of(catalog: Catalog, lake: Lake) -> tuple[Snapshot, Lake, Encoding]:
    snapshot, encoding = taken(catalog)
    return snapshot, lake, encoding
