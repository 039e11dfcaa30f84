"""Every view, macro and function on every tier: the answers of float16, within what its vectors lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.storage.sql.connection import connect
from polyseme.storage.tiers import tier_of
from polyseme.tasks.engine_config import EngineConfig
from tests import embedded_lakes

WATER = "['river', 'canal', 'brook']"
MONEY = "['money', 'loan', 'safe']"
WITHIN: Mapping[str, float] = {"float16": 0, "int8": 0.004, "binary": 0.35}
"""How far a similarity, or another number from 0 to 1, may be from that of float16, by the tier of its table."""
STORES = (
    "int8",
    "binary",
    "sentences=float16,words=int8",
    "sentences=int8,words=binary",
    "sentences=binary,words=int8",
)
OF_SENTENCES = ("nearest", "nearest_to", "coherence")
"""What is computed of the vectors of sentences; all else is of those of words."""
SIMILARITIES = {
    "nearest": "SELECT doc_id, sentence_index, similarity FROM nearest('the water rose over the fields', k := 18)",
    "nearest_to": "SELECT doc_id, sentence_index, similarity FROM "
    "nearest_to((SELECT embedding FROM sentences WHERE doc_id = 'safe' AND sentence_index = 0), k := 18)",
    "neighbours": "SELECT word, similarity FROM neighbours('bank', k := 5, at_least := 2)",
    "maxsim": "SELECT doc_id, sentence_index, score / 8 FROM maxsim('a bank of the river', k := 18)",
    "polysemy": "SELECT word, distance FROM polysemy(at_least := 2)",
    "coherence": "SELECT doc_id, sentence_index, cosine FROM coherence",
    "drift": f"SELECT 1, COLUMNS('.*distance.*') FROM drift('bank', {WATER}, {MONEY})",
    "drift_rank": f"SELECT word, apd FROM drift_rank({WATER}, {MONEY}, at_least := 2)",
}
"""Queries whose rows are a key and numbers."""
COUNTED = {
    "occurrences": "SELECT count(*), count(embedding) FROM occurrences('bank')",
    "phrase": "SELECT count(*), count(embedding) FROM occurrences('the bank')",
    "kwic": "SELECT count(*) FROM kwic('bank')",
    "senses": "SELECT count(*) FROM senses('bank')",
    "breaks": "SELECT count(*) FROM breaks('river')",
    "hybrid": "SELECT count(*) FROM hybrid('a flood', k := 5)",
    "bm25": "SELECT count(*) FROM bm25('the bank of the river', k := 5)",
    "drift_by": "SELECT count(*) > 0 FROM drift_by('bank', 'title')",
    "order_score": "SELECT order_score(list(embedding)) IS NOT NULL FROM sentences",
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, duckdb.DuckDBPyConnection]]:
    found = {}
    for store in ("float16", *STORES):
        root: Path = tmp_path_factory.mktemp(store)
        embedded_lakes.make(root, embedded_lakes.documents(), config=EngineConfig(store=store))
        found[store] = connect(root)
    yield found
    for con in found.values():
        con.close()


def numbers(con: duckdb.DuckDBPyConnection, name: str) -> dict[tuple[Any, ...], list[float]]:
    found: dict[tuple[Any, ...], list[float]] = {}
    for row in con.execute(SIMILARITIES[name]).fetchall():
        key = tuple(value for value in row if not isinstance(value, float))
        found[key] = [value for value in row if isinstance(value, float)]
    return found


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", SIMILARITIES)
def test_numbers_are_those_of_float16_within_what_the_tier_loses(
    opened: dict[str, duckdb.DuckDBPyConnection], store: str, name: str
) -> None:
    exact, found = numbers(opened["float16"], name), numbers(opened[store], name)
    assert exact, "there is something to compare"
    common = exact.keys() & found.keys()
    tier = tier_of(store, "sentences" if name in OF_SENTENCES else "words")
    assert len(common) >= (len(exact) / 2 if tier == "binary" else len(exact))
    for key in common:
        assert found[key] == pytest.approx(exact[key], rel=0, abs=WITHIN[tier])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", COUNTED)
def test_every_macro_answers_with_the_rows_that_float16_has(
    opened: dict[str, duckdb.DuckDBPyConnection], store: str, name: str
) -> None:
    answers = [opened[each].execute(COUNTED[name]).fetchall() for each in ("float16", store)]
    assert answers[0] == answers[1]
    assert answers[0][0][0]


@pytest.mark.parametrize("store", STORES)
def test_the_senses_are_those_of_float16_where_no_vector_is_a_bit_a_number(
    opened: dict[str, duckdb.DuckDBPyConnection], store: str
) -> None:
    """Senses are of words and sentences. What bits leave of the distances among eleven occurrences makes one sense."""
    sql = "SELECT doc_id, sentence_index, word_index, sense FROM senses('bank') ORDER BY ALL"
    exact, found = (opened[each].execute(sql).fetchall() for each in ("float16", store))
    assert [row[:3] for row in found] == [row[:3] for row in exact]
    assert found == exact or "binary" in store


@pytest.mark.parametrize("store", STORES)
def test_the_first_answer_is_the_same(opened: dict[str, duckdb.DuckDBPyConnection], store: str) -> None:
    for text in ("the loan was not granted", "reeds by the water", "gold in a vault"):
        sql = f"SELECT doc_id, sentence_index FROM nearest('{text}', k := 1)"
        assert opened["float16"].execute(sql).fetchall() == opened[store].execute(sql).fetchall()
