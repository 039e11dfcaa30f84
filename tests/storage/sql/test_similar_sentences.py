"""Similar sentences: the codes leave out no pair that comparing all with all finds, and texts count once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.schemas import embedding_type
from polyseme.storage.search import pairs
from polyseme.storage.sql import indexed_rows, similar_sentences
from polyseme.storage.sql.indexed_rows import CALLER
from polyseme.storage.sql.sentence_search import SentenceSearch
from polyseme.storage.sql.similar_sentences import SimilarPair
from tests import lakes

SPEC = lakes.make_spec(width=384)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed_rows, "WORTH_AN_INDEX", 1)
    monkeypatch.setattr(pairs, "_BLOCK", 100)
    monkeypatch.setattr(lakes, "vectors", clustered)
    return tmp_path / "cache" / "polyseme" / "codes"


def clustered(count: int, width: int) -> pa.Array:
    """Return vectors around 30 middles, some of them near, and all in one half of the space."""
    random = np.random.default_rng(count)
    middles = np.random.default_rng(0).standard_normal((30, width)) + 1
    numbers = middles[random.integers(0, 30, count)]
    numbers += random.standard_normal((count, width)) * random.choice([0.05, 0.3, 0.6], (count, 1))
    numbers[:1] = 0
    return pa.FixedSizeListArray.from_arrays(
        pa.array(numbers.astype(np.float16).reshape(-1)), type=embedding_type(width)
    )


def found(catalog: Catalog, at_least: float, *, exact: bool = False) -> list[SimilarPair]:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    search = SentenceSearch(snapshot, catalog.lake, snapshot.default)
    return search.similar.pairs(at_least, exact=exact, caller=CALLER)


def commit(catalog: Catalog, *names: str, sentences: int = 120) -> None:
    lakes.commit(catalog, SPEC, {d: [f"{d} {i}." for i in range(sentences)] for d in names})


@pytest.mark.parametrize("at_least", [0.8, 0.9, 0.95, 0.99])
def test_the_codes_leave_out_no_pair_that_is_near_enough(catalog: Catalog, cache: Path, at_least: float) -> None:
    for name in "abc":
        commit(catalog, name, f"{name}2")
    by_index, exact = (found(catalog, at_least, exact=exact) for exact in (False, True))
    assert by_index == exact
    assert len(exact) > 100
    assert all(pair.similarity >= at_least for pair in exact)
    assert [pair.similarity for pair in exact] == sorted((pair.similarity for pair in exact), reverse=True)
    assert list(cache.iterdir())


def test_replaced_and_deleted_documents_are_in_no_pair(catalog: Catalog) -> None:
    for name in "abc":
        commit(catalog, name)
    commit(catalog, "a", sentences=7)
    assert catalog.delete_documents(SPEC.encoding_id, ["b"], version=99) == 1
    for _ in range(2):
        by_index = found(catalog, 0.8)
        assert by_index == found(catalog, 0.8, exact=True)
        assert {pair.doc_id for pair in by_index} <= {"a", "c"}
        compact(catalog)


def test_sentences_with_the_same_text_count_once(catalog: Catalog) -> None:
    lakes.commit(catalog, SPEC, {"b": ["Same."] * 60 + ["Other."] * 60, "a": ["Same."]})
    for exact in (False, True):
        said = found(catalog, 0.8, exact=exact)
        assert {(p.doc_id, p.sentence_index) for p in said} <= {("a", 0)}
        assert len(said) <= 1


def test_a_lake_of_one_sentence_and_one_without_any_have_no_pairs(catalog: Catalog) -> None:
    catalog.register_encoding(SPEC)
    assert found(catalog, 0.9) == found(catalog, 0.9, exact=True) == []
    commit(catalog, "a", sentences=1)
    assert found(catalog, 0.9) == found(catalog, 0.9, exact=True) == []


@pytest.mark.parametrize("at_least", [0, 0.79, 1.01, float("nan")])
def test_another_cosine_is_refused(catalog: Catalog, at_least: float) -> None:
    commit(catalog, "a")
    with pytest.raises(UsageError, match=r"from 0\.8 to 1"):
        found(catalog, at_least)


@pytest.mark.parametrize("exact", [True, False])
def test_more_pairs_than_fit_are_an_error_that_says_what_to_ask(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    commit(catalog, "a")
    monkeypatch.setattr(similar_sentences, "_MOST_PAIRS", 3)
    with pytest.raises(PolysemeError, match=r"at_least := 0\.98"):
        found(catalog, 0.8, exact=exact)
