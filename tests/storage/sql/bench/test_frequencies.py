"""Frequency lists and keywords: equal to the figures of the literature and to formulas computed by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from scipy.stats import chi2_contingency

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from tests import lakes

GRIES = {
    "1": ["b a m n i b e u p"], "2": ["b a s a t b e w q n"], "3": ["b c a g a b e s t a"],
    "4": ["b a g h a b e a a t"], "5": ["b a h a a b e a x a t"],
}  # fmt: skip
"""The corpus in five parts by which Gries (2008) explains DP."""


@pytest.fixture
def con(catalog: Catalog, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    lakes.commit(catalog, lakes.make_spec(), GRIES | {"6": ["1931 , ."]})
    with connect(lake) as opened:
        yield opened


def test_dispersion_is_that_of_the_literature(con: duckdb.DuckDBPyConnection) -> None:
    found = {
        word: more
        for word, *more in con.execute(
            "SELECT word, occurrences, documents, per_million, dispersion FROM word_frequencies()"
        ).fetchall()
    }
    # Gries 2008: DP of "a" is 0.18; Lijffijt & Gries 2012 divide by 1 less the smallest part, 9 of 50 words.
    assert found["a"] == [15, 5, pytest.approx(15 / 50 * 1e6), pytest.approx(0.18 / (1 - 0.18))]
    assert found["x"][3] == pytest.approx((1 - 11 / 50) / (1 - 9 / 50))
    assert "1931" not in found
    assert [n for n, *_ in found.values()] == sorted((n for n, *_ in found.values()), reverse=True)


def test_punctuation_and_numbers_are_counted_if_asked_for(con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT word, per_million FROM word_frequencies(docs := ['6'], punctuation := true) ORDER BY word"
    assert con.execute(sql).fetchall() == [(word, pytest.approx(1e6 / 3)) for word in (",", ".", "1931")]
    assert con.execute("FROM word_frequencies(docs := [])").fetchall() == []


def test_keyness_is_the_log_likelihood_of_four_cells_and_the_log_ratio(con: duckdb.DuckDBPyConnection) -> None:
    here, there = ["1", "2"], ["4", "5"]
    columns = "word, occurrences, other_occurrences, log_likelihood, log_ratio"
    rows = con.execute(f"SELECT {columns} FROM keywords(?, ?)", [here, there]).fetchall()
    ours, others = _counts(here), _counts(there)
    assert {row[0] for row in rows} == set(ours | others)
    c, d = ours.total(), others.total()
    for word, a, b, g2, ratio in rows:
        assert (a, b) == (ours[word], others[word])
        expected = chi2_contingency([[a, b], [c - a, d - b]], correction=False, lambda_="log-likelihood").statistic
        assert g2 == pytest.approx(expected, abs=1e-9)
        assert ratio == pytest.approx(math.log2((max(a, 0.5) / c) / (max(b, 0.5) / d)))
    assert con.execute("FROM keywords(['1'], [])").fetchall() == []


def test_text_alone_has_the_same_frequencies_as_words(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    texts = {"a": ["The bank , the BANK .", "Straße"], "b": ["STRASSE the é 日 本"]}
    with (
        Catalog.create_or_open(Lake(tmp_path / "one")) as whole,
        Catalog.create_or_open(Lake(tmp_path / "two")) as bare,
    ):
        lakes.commit(whole, lakes.make_spec(), texts)
        lakes.commit_sentences(bare, lakes.make_spec(), texts)
        for sql in ("FROM word_frequencies()", "FROM keywords(['a'], ['b'], punctuation := true)"):
            assert _rows(bare, sql) == _rows(whole, sql) != []


def _rows(catalog: Catalog, sql: str) -> list[tuple[Any, ...]]:
    with connect(catalog.lake) as con:
        return con.execute(sql).fetchall()


def _counts(doc_ids: list[str]) -> Counter[str]:
    return Counter(" ".join(sentence for doc_id in doc_ids for sentence in GRIES[doc_id]).split())
