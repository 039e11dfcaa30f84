"""Search over words: by an index it finds what SQL finds by comparing all, and never a mark or what is not shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.schemas import embedding_type
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql import indexed_rows
from polyseme.storage.sql.word_search import Occurrence, WordSearch
from tests import lakes

SPEC = lakes.make_spec(width=64)
TEXTS = {
    "a": ["bank , money . river", "? 42 %"],
    "b": ["river river ! été 水"],
    "c": ["- - - bank"],
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed_rows, "WORTH_AN_INDEX", 1)
    return tmp_path / "cache" / "polyseme" / "codes"


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    for doc_id, sentences in TEXTS.items():
        lakes.commit(catalog, SPEC, {doc_id: sentences})
    return catalog


def search(catalog: Catalog) -> WordSearch:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return WordSearch(snapshot, catalog.lake, snapshot.default)


def asked(count: int = 2) -> Floats:
    return np.random.default_rng(0).standard_normal((count, SPEC.width)).astype(np.float32)


def placed(found: list[Occurrence]) -> list[tuple[object, ...]]:
    return [(o.doc_id, o.sentence_index, o.word_index, o.word, o.char_start, o.char_end) for o in found]


def assert_as_exact(catalog: Catalog, k: int, docs: list[str] | None = None) -> list[Occurrence]:
    chosen = None if docs is None else pa.array(docs, pa.string())
    by_index, exact = (search(catalog).nearest(asked(), k, docs=chosen, exact=exact) for exact in (False, True))
    for mine, right in zip(by_index, exact, strict=True):
        assert placed(mine) == placed(right)
        assert [o.similarity for o in mine] == pytest.approx([o.similarity for o in right], abs=1e-5)
    return by_index[0]


@pytest.mark.parametrize("k", [1, 4, 100])
def test_the_index_finds_what_sql_finds_and_no_marks(filled: Catalog, cache: Path, k: int) -> None:
    found = assert_as_exact(filled, k)
    assert len(found) == min(k, 9)
    assert {o.word for o in found} <= {"bank", "money", "river", "42", "été", "水"}
    assert list(cache.iterdir())


@pytest.mark.parametrize(("docs", "words"), [(["b"], 4), (["a", "c", "gone"], 5), ([], 0)])
def test_only_the_documents_asked_for_are_searched(filled: Catalog, docs: list[str], words: int) -> None:
    assert len(assert_as_exact(filled, 100, docs)) == words


@pytest.mark.parametrize("exact", [True, False])
def test_vectors_without_a_direction_are_never_the_nearest(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    def made(count: int, width: int) -> pa.Array:
        numbers = np.ones((count, width), np.float16)
        numbers[0], numbers[-1, 5] = 0, np.nan
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=embedding_type(width))

    monkeypatch.setattr(lakes, "vectors", made)
    lakes.commit(catalog, SPEC, {"a": ["zero one one nan"]})
    questions = np.ones((4, SPEC.width), np.float32)
    questions[1], questions[2, 7], questions[3, 7] = 0, np.nan, np.inf
    found = search(catalog).nearest(questions, 10, exact=exact)
    assert [(o.word, round(o.similarity, 5)) for o in found[0]] == [("one", 1), ("one", 1), ("zero", 0), ("nan", 0)]
    assert found[1:] == [[], [], []]


def test_replaced_and_deleted_documents_are_not_found(filled: Catalog) -> None:
    assert_as_exact(filled, 100)
    lakes.commit(filled, SPEC, {"a": ["new words"]})
    assert filled.delete_documents(SPEC.encoding_id, ["c"], version=99) == 1
    assert {o.word for o in assert_as_exact(filled, 100)} == {"new", "words", "river", "été", "水"}
    compact(filled)
    assert len(assert_as_exact(filled, 100)) == 6


def test_marks_stay_left_out_when_segments_are_joined(catalog: Catalog, cache: Path) -> None:
    for n in range(12):
        lakes.commit(catalog, SPEC, {f"d{n}": [f"word{n} , ."]})
        assert {o.word for o in assert_as_exact(catalog, 100)} == {f"word{i}" for i in range(n + 1)}
    assert len(list(cache.iterdir())) < 12


def test_a_question_without_a_direction_has_no_neighbours(filled: Catalog) -> None:
    zeros = np.zeros((1, SPEC.width), np.float32)
    assert search(filled).nearest(zeros, 5) == search(filled).nearest(zeros, 5, exact=True) == [[]]


def test_where_no_index_can_be_kept_sql_answers_and_somebody_is_told_what_to_do(
    filled: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = search(filled)
    assert found.nearest(asked(), 3) == found.nearest(asked(), 3, exact=True)
    (said,) = caplog.messages
    assert "words" in said
    assert "XDG_CACHE_HOME" in said
