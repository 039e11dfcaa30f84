"""Search over sentences: by an index it finds what comparing all finds, and never what the lake does not show."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage import parts
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.schemas import embedding_type
from polyseme.storage.search import candidates, index
from polyseme.storage.search.one_bit import Words
from polyseme.storage.search.shortlist import Codes, Rows
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql import indexed_rows
from polyseme.storage.sql.confinement import ConfinedThread
from polyseme.storage.sql.indexed_rows import Caller
from polyseme.storage.sql.nearest import Neighbour
from polyseme.storage.sql.sentence_search import SentenceSearch, shared_search
from tests import lakes

SPEC = lakes.make_spec(width=64)
Check = Callable[[], None]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed_rows, "WORTH_AN_INDEX", 1)
    return tmp_path / "cache" / "polyseme" / "codes"


def commit(catalog: Catalog, *doc_ids: str, sentences: int = 20) -> None:
    lakes.commit(catalog, SPEC, {d: [f"{d} {i}." for i in range(sentences)] for d in doc_ids})


def search(catalog: Catalog) -> SentenceSearch:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return SentenceSearch(snapshot, catalog.lake, snapshot.default)


def asked(count: int = 3, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, SPEC.width)).astype(np.float32)


def assert_as_exact(catalog: Catalog, vectors: Floats, k: int, docs: list[str] | None = None) -> None:
    found, chosen = search(catalog), None if docs is None else pa.array(docs, pa.string())
    by_index, exact = (found.nearest(vectors, k, docs=chosen, exact=exact) for exact in (False, True))
    assert by_index == exact


@pytest.mark.parametrize("k", [1, 7, 1000])
def test_the_index_finds_what_comparing_all_finds(catalog: Catalog, cache: Path, k: int) -> None:
    for name in "abc":
        commit(catalog, name, f"{name}2")
    assert_as_exact(catalog, asked(), k)
    assert list(cache.iterdir())


def test_replaced_and_deleted_documents_are_not_found(catalog: Catalog) -> None:
    for name in "abcd":
        commit(catalog, name)
    assert_as_exact(catalog, asked(), 100)
    commit(catalog, "b", sentences=3)
    assert catalog.delete_documents(SPEC.encoding_id, ["c"], version=99) == 1
    assert_as_exact(catalog, asked(), 100)
    compact(catalog)
    assert_as_exact(catalog, asked(), 100)
    found = {n.doc_id for n in search(catalog).nearest(asked(1), 100)[0]}
    assert found == {"a", "b", "d"}


def test_of_many_rows_the_cells_nearest_to_a_question_are_searched(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have nearly all neighbours, of whatever number; of some documents, all cells are searched."""
    middles = np.random.default_rng(8).standard_normal((40, SPEC.width))

    def clustered(count: int, width: int) -> pa.Array:
        random = np.random.default_rng(count)
        numbers = middles[random.integers(0, 40, count)] + 0.5 * random.standard_normal((count, width))
        flat = pa.array(numbers.astype(np.float16).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=embedding_type(width))

    monkeypatch.setattr(lakes, "vectors", clustered)
    for name, count in (("a", 500), ("b", 700), ("c", 900)):
        commit(catalog, name, f"{name}2", sentences=count)
    catalog.delete_documents(SPEC.encoding_id, ["b2"], version=99)
    settings = {"_WORTH_CELLS": 1, "_WORTH_DIVIDING": 0, "_LEAST_LISTED": 300, "_OF_ROOT": 1, "_AT_WIDTH": SPEC.width}
    for setting, value in settings.items():
        monkeypatch.setattr(candidates, setting, value)
    compared: list[float] = []
    scan = candidates.shortlists

    def counted(
        codes: list[Codes], questions: Words, lengths: list[int], check: Check, near: list[Rows] | None
    ) -> list[Rows]:
        if near is not None:
            rows = sum(np.diff(some.cells) for some in codes if some.cells is not None)
            compared.extend(rows[cells].sum() / rows.sum() for cells in near)
        return scan(codes, questions, lengths, check, near)

    monkeypatch.setattr(candidates, "shortlists", counted)
    vectors, found = (middles[:6] + 0.5 * asked(6, seed=2)).astype(np.float32), search(catalog)
    by_index, exact = (found.nearest(vectors, 10, exact=exact) for exact in (False, True))
    right = [len(set(mine) & set(theirs)) / 10 for mine, theirs in zip(by_index, exact, strict=True)]
    assert np.mean(right) > 0.9
    assert len(compared) == 6
    assert 0.2 < np.mean(compared) < 0.6
    assert {n.doc_id for one in by_index for n in one} <= {"a", "a2", "b", "c", "c2"}
    assert_as_exact(catalog, vectors, 10, ["a", "c2"])
    assert len(compared) == 6


@pytest.mark.parametrize(("exact", "cache_bytes"), [(False, 0), (True, 0), (True, 2**30)])
def test_each_neighbour_has_its_own_text(
    catalog: Catalog, exact: bool, cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several parts, some rows of which are hidden, each with several row groups."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 8)
    for name in "abcd":
        commit(catalog, name, f"{name}2")
    compact(catalog)
    commit(catalog, "b", "e")
    catalog.delete_documents(SPEC.encoding_id, ["c"], version=99)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    lake = SentenceSearch(snapshot, catalog.lake, snapshot.default, cache_bytes=cache_bytes)
    found = lake.nearest(asked(3), 70, exact=exact)
    assert all(n.text is None for one in found for n in one)
    texts = [[n.text for n in one] for one in lake.with_texts(found, lambda: None)]
    assert texts == [[f"{n.doc_id} {n.sentence_index}." for n in one] for one in found]
    assert len(texts[0]) == 70


def test_a_part_that_is_gone_when_its_texts_are_read_is_named(catalog: Catalog, lake: Lake) -> None:
    commit(catalog, "a")
    found = search(catalog)
    neighbours = found.nearest(asked(1), 5)
    for part in Path(str(lake.root)).rglob("*.parquet"):
        part.unlink()
    with pytest.raises(LakeError, match="polyseme verify"):
        found.with_texts(neighbours, lambda: None)


@pytest.mark.parametrize("lacks", ["rows", "text"])
def test_a_part_that_was_exchanged_is_named_and_gives_no_text(catalog: Catalog, lake: Lake, lacks: str) -> None:
    commit(catalog, "a")
    found = search(catalog)
    neighbours = found.nearest(asked(1), 20)
    (part,) = Path(str(lake.root)).rglob("sentences/*/*.parquet")
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.drop_columns(["text"]) if lacks == "text" else table.slice(0, 5), part)
    with pytest.raises(LakeError, match="polyseme verify"):
        found.with_texts(neighbours, lambda: None)


@pytest.mark.parametrize("docs", [["b", "gone"], [], ["a", "c"]])
def test_only_the_documents_asked_for_are_searched(catalog: Catalog, docs: list[str]) -> None:
    for name in "abc":
        commit(catalog, name)
    assert_as_exact(catalog, asked(), 15, docs)


def test_questions_without_a_direction_and_lakes_without_sentences_have_no_neighbours(catalog: Catalog) -> None:
    catalog.register_encoding(SPEC)
    assert search(catalog).nearest(asked(2), 5) == [[], []]
    commit(catalog, "a")
    vectors = asked(3)
    vectors[1] = 0
    found = search(catalog).nearest(vectors, 5)
    assert [len(one) for one in found] == [5, 0, 5]


def test_of_many_sentences_the_index_reads_few_and_finds_nearly_all(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    middles = np.random.default_rng(0).standard_normal((200, SPEC.width)) + 0.5

    def clustered(count: int, width: int) -> pa.Array:
        random = np.random.default_rng(count)
        numbers = middles[random.integers(0, 200, count)] + random.standard_normal((count, width)) * 0.8
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers.astype(np.float16).reshape(-1)),
                                                 type=embedding_type(width))  # fmt: skip

    monkeypatch.setattr(lakes, "vectors", clustered)
    monkeypatch.setattr(candidates, "_LEAST_LISTED", 0)
    commit(catalog, "a", "b", sentences=4000)
    found, vectors = search(catalog), middles[:50] + asked(50) * 0.8
    read = 0
    reading = indexed_rows.CandidateVectors.read

    def counted(self: object, some: candidates.Candidates, check: object) -> object:
        nonlocal read
        read += len(some.rows)
        return reading(self, some, check)  # type: ignore[arg-type]

    monkeypatch.setattr(indexed_rows.CandidateVectors, "read", counted)
    by_index, exact = (found.nearest(vectors, 10, exact=exact) for exact in (False, True))
    hits = [len(set(mine) & set(right)) for mine, right in zip(_keys(by_index), _keys(exact), strict=True)]
    assert sum(hits) / (10 * len(vectors)) >= 0.98
    assert read / len(vectors) < 500


def _keys(found: list[list[Neighbour]]) -> list[list[tuple[str, int]]]:
    return [[(n.doc_id, n.sentence_index) for n in one] for one in found]


def test_few_sentences_are_compared_without_an_index(
    catalog: Catalog, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed_rows, "WORTH_AN_INDEX", 21)
    commit(catalog, "a")
    assert len(search(catalog).nearest(asked(1), 5)[0]) == 5
    assert not cache.exists()


def test_where_no_index_can_be_kept_all_are_compared_and_somebody_is_told(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    commit(catalog, "a")
    found = search(catalog)
    with caplog.at_level(logging.WARNING):
        assert len(found.nearest(asked(1), 5)[0]) == len(found.nearest(asked(1), 5)[0]) == 5
    (said,) = caplog.messages
    assert "XDG_CACHE_HOME" in said


def test_a_full_disk_is_no_error_and_leaves_nothing(
    catalog: Catalog, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*some: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index, "write_segment", full)
    commit(catalog, "a")
    assert len(search(catalog).nearest(asked(1), 5)[0]) == 5
    assert list(cache.iterdir()) == []


def test_a_part_that_is_gone_is_refused_in_words_before_and_after_the_index_is_made(catalog: Catalog) -> None:
    commit(catalog, "a")
    indexed = search(catalog)
    indexed.nearest(asked(1), 5)
    commit(catalog, "b")
    new = search(catalog)
    catalog.lake.files.remove([path for paths in catalog.snapshot().parts.values() for path in paths])
    for found in (indexed, new):
        with pytest.raises(LakeError, match="polyseme verify"):
            found.nearest(asked(1), 5)


def test_a_thread_that_can_write_no_files_has_it_made_by_another(catalog: Catalog, cache: Path) -> None:
    commit(catalog, "a")
    found = search(catalog)
    with ConfinedThread() as thread, ConfinedThread(None) as free:
        free.call(int)  # a thread has the rights of the one that starts it
        caller = Caller(unconfined=free.call)
        assert thread.call(found.nearest, asked(1), 5, caller=caller) == found.nearest(asked(1), 5) != [[]]
    assert list(cache.iterdir())


def test_a_search_is_shared_until_the_lake_changes(catalog: Catalog, lake: Lake) -> None:
    def shared(snapshot: Snapshot) -> SentenceSearch:
        assert snapshot.default is not None
        return shared_search(snapshot, lake, snapshot.default)

    commit(catalog, "a")
    first = shared(catalog.snapshot())
    assert shared(catalog.snapshot()) is first
    commit(catalog, "a", "b", sentences=2)
    later = shared(catalog.snapshot())
    assert later is not first
    assert {n.doc_id for n in later.nearest(asked(1), 99)[0]} == {"a", "b"}
    assert {n.doc_id for n in first.nearest(asked(1), 99)[0]} == {"a"}
