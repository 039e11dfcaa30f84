"""BM25: the scores of the formula and of the package bm25s, from words and from text alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.word_keys import word_keys
from tests import lakes
from tests.extras import require

TEXTS = {
    "a": ["The bank lent the money .", "Willows grew on the BANK of the river , on the bank ."],
    "b": ["A flood came", "Money , money , money !", "The river"],
    "c": ["nothing of it", ", ."],
}
QUERIES = ["the bank of the river", "money", "Money money bank", "nowhere", ", !", "the"]


@pytest.fixture
def made(catalog: Catalog, lake: Lake) -> Lake:
    lakes.commit(catalog, lakes.make_spec(), TEXTS)
    return lake


def scores(lake: Lake, query: str, more: str = "k := 99") -> list[tuple[float, str]]:
    with connect(lake) as con:
        return con.execute(f"SELECT score, text FROM bm25(?, {more})", [query]).fetchall()


def tokens(text: str) -> list[str]:
    return [key for key in word_keys(text) if any(c.isalnum() for c in key)]


def by_hand(query: str, k1: float, b: float) -> list[tuple[Any, str]]:
    corpus = {text: tokens(text) for texts in TEXTS.values() for text in texts}
    mean = sum(map(len, corpus.values())) / len(corpus)
    found = []
    for text, words in corpus.items():
        score = 0.0
        for word in tokens(query):
            df = sum(word in other for other in corpus.values())
            tf = words.count(word)
            weight = math.log(1 + (len(corpus) - df + 0.5) / (df + 0.5))
            score += weight * tf / (tf + k1 * (1 - b + b * len(words) / mean))
        if score:
            found.append((pytest.approx(score), text))
    return sorted(found, key=lambda row: -row[0].expected)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.0)])
def test_scores_are_those_of_the_formula(made: Lake, query: str, k1: float, b: float) -> None:
    assert scores(made, query, f"k := 99, k1 := {k1}, b := {b}") == by_hand(query, k1, b)


def test_a_search_of_some_documents_has_the_scores_of_all(made: Lake) -> None:
    whole = {text: score for score, text in scores(made, "the river")}
    some = scores(made, "the river", "docs := ['b'], k := 1")
    assert some == [(whole["The river"], "The river")]
    assert scores(made, "the river", "docs := []") == []


def test_text_alone_has_the_same_ranking_as_words(made: Lake, tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "bare")) as bare:
        lakes.commit_sentences(bare, lakes.make_spec(), TEXTS)
        for query in QUERIES:
            wanted = [(pytest.approx(score), text) for score, text in scores(made, query)]
            assert scores(bare.lake, query) == wanted


@pytest.mark.extra
def test_scores_are_those_of_bm25s(made: Lake) -> None:
    require("bm25s", "parity")
    import bm25s

    texts = [text for texts in TEXTS.values() for text in texts]
    retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    retriever.index([tokens(text) for text in texts], show_progress=False)
    for query in ("the bank of the river", "money", "money money bank"):
        expected = dict(zip(texts, retriever.get_scores(tokens(query)).tolist(), strict=True))
        found = scores(made, query)
        assert {text: pytest.approx(score, rel=1e-5) for score, text in found} == {
            text: score for text, score in expected.items() if score > 0
        }
