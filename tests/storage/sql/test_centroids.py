"""Word centroids: the mean of every occurrence of a word, wherever batches and parts divide them."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.storage.sql.centroids import read_centroids, shared_centroids
from polyseme.storage.sql.connection import connect
from tests import lakes

TEXTS = {"a": ["bank money bank river", "Bank of money 1931 , ,"], "b": ["money river once BANK"]}


def test_centroids_are_means_of_the_words_of_all_documents_less_their_mean(catalog: Catalog, lake: Lake) -> None:
    lakes.commit(catalog, lakes.make_spec(), TEXTS)
    lakes.commit(catalog, lakes.make_spec(), {"c": ["money bank"]})
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    found = read_centroids(snapshot, lake, snapshot.default, at_least=2, by_lemma=False)
    assert dict(zip(found.words, found.occurrences.tolist(), strict=True)) == {"bank": 5, "money": 4, "river": 2}
    with connect(lake) as con:
        rows = con.execute("SELECT word_lower, embedding FROM words").fetchall()
    means = np.array([np.mean([v for w, v in rows if w == word], axis=0) for word in found.words], np.float32)
    assert found.centre == pytest.approx(means.mean(axis=0), abs=1e-5)
    assert found.unit == pytest.approx(unit_rows(means - means.mean(axis=0)), abs=1e-4)
    nearest = found.nearest(means[0], 2, but={"bank"})
    assert [near.word for near in found.nearest(means[0], 1)] == ["bank"]
    assert {near.word for near in nearest} == {"money", "river"}
    assert nearest[0].similarity >= nearest[1].similarity
    again = shared_centroids(snapshot, lake, snapshot.default, at_least=2, by_lemma=False)
    assert shared_centroids(snapshot, lake, snapshot.default, at_least=2, by_lemma=False) is again
    none = read_centroids(snapshot, lake, snapshot.default, at_least=9, by_lemma=True)
    assert none.nearest(means[0], 3) == []
