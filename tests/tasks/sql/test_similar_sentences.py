"""`similar_sentences` in SQL: pairs of sentences with their texts, of a lake that the embedded model made."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes

TEXTS = {
    "b": "The bank lent him the money. A heron stood in the water.",
    "a": "The bank then lent him the money. The bank lent him the money. Trout hide there all day.",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents(TEXTS))


@pytest.fixture
def con(made: Lake) -> duckdb.DuckDBPyConnection:
    return connect(made, functions=ModelFunctions())


def test_pairs_come_with_both_texts_and_each_text_counts_once(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("FROM similar_sentences(at_least := 0.9)").fetchall()
    assert [row[1:] for row in found] == [
        ("a", 0, "The bank then lent him the money.", "a", 1, "The bank lent him the money.")
    ]
    assert 0.9 < found[0][0] < 1
    assert con.execute("FROM similar_sentences(at_least := 0.9, exact := true)").fetchall() == found


def test_the_cosine_is_that_of_the_stored_vectors(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = con.execute(
        """SELECT p.similarity, array_cosine_similarity(a.embedding, b.embedding)
        FROM similar_sentences(at_least := 0.9) AS p
        JOIN sentences AS a USING (doc_id, sentence_index)
        JOIN sentences AS b ON b.doc_id = p.other_doc_id AND b.sentence_index = p.other_sentence_index"""
    ).fetchall()
    assert row[0] == pytest.approx(row[1], abs=1e-5)


def test_null_is_no_question_and_no_cosine_of_less_than_0_8_is_one(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("FROM similar_sentences(at_least := NULL)").fetchall() == []
    with pytest.raises(duckdb.InvalidInputException, match=r"from 0\.8 to 1; got 0\.5"):
        con.execute("FROM similar_sentences(at_least := 0.5)")


def test_a_lake_without_documents_has_no_pairs(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path / "lake", [])
    with connect(lake, functions=ModelFunctions()) as con:
        assert con.execute("FROM similar_sentences(at_least := 0.9)").fetchall() == []
