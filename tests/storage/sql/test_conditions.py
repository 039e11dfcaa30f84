"""Conditions behind --where: an error names the mistake and the mend, and shows no SQL of ours."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.sql.conditions import matching, valued

ROWS = """
SELECT * FROM (VALUES ('a', 'The bank', '{"genre": "news"}'::JSON), ('b', NULL, NULL)) AS t(doc_id, title, metadata)"""


@pytest.fixture
def documents() -> Iterator[duckdb.DuckDBPyRelation]:
    with duckdb.connect() as con:
        con.execute(f"CREATE VIEW documents AS {ROWS}")
        yield con.view("documents")


@pytest.mark.parametrize(
    "where",
    ["title = 'The bank'", "metadata->>'genre' = 'news'", "documents.doc_id = 'a'",
     "doc_id IN (SELECT doc_id FROM documents WHERE title IS NOT NULL)", "doc_id = 'a' -- the first"],
)  # fmt: skip
def test_a_condition_selects(documents: duckdb.DuckDBPyRelation, where: str) -> None:
    assert [row[0] for row in matching(documents, where).fetchall()] == ["a"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "genre = 'news'",
            "^--where: genre is no column of documents; it is in the metadata of 1 document: metadata->>'genre'\\.$",
        ),
        (
            "documents.genre = 'news'",
            "^--where: genre is no column of documents; it is in the metadata of 1 document: ",
        ),
        (
            "Gener = 'news'",
            "^--where: Gener is no column of documents\\. The nearest is genre, in the metadata of 1 "
            "document: metadata->>'genre'\\.$",
        ),
        ("titel IS NULL", "^--where: titel is no column of documents\\. The nearest is title\\.$"),
        (
            'title = "Monday"',
            "^--where: Monday is no column of documents, and no document has it in its metadata\\. "
            "Columns are doc_id, title, metadata\\. Text is quoted with '",
        ),
        ("", "^--where has no condition\\. .* Leave it out"),
        (" -- title = 'The bank'", "^--where has no condition\\. .* Leave it out"),
        ("genre =", 'syntax error at or near "="$'),
        ("1 = 1) OR (true", 'syntax error at or near "\\)"$'),
        ("true; DROP VIEW documents", "--where takes a SQL condition"),
        ("doc_id IN (SELECT x FROM nowhere)", "nowhere does not exist!$"),
        ("embedding(title)", "--where takes a SQL condition .*embedding does not exist!$"),
        ("(WITH c AS (COPY (SELECT 1) TO 'x') SELECT true FROM c)", "COPY is not allowed"),
        ("EXISTS (FROM query('FROM documents'))", "query\\(\\) is not allowed here: it runs SQL that it has as text"),
    ],
)
def test_what_is_not_a_condition_is_said_in_words(documents: duckdb.DuckDBPyRelation, where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        matching(documents, where)
    assert "LINE" not in str(caught.value)
    assert len(documents.fetchall()) == 2


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (
            "genre",
            "^--by: genre is no column of documents; it is in the metadata of 1 document: metadata->>'genre'\\.$",
        ),
        ("titel", "^--by: titel is no column of documents\\. The nearest is title\\.$"),
        ('"Monday"', "^--by: Monday is no column of documents, and no document has it in its metadata\\. "),
        ("", "^--by has no expression\\. "),
        ("upper(", "^--by takes an expression on the columns of documents, .*syntax error"),
    ],
)
def test_what_is_not_an_expression_is_said_in_words(documents: duckdb.DuckDBPyRelation, by: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        valued(documents, by)


def test_a_value_is_that_of_a_column_or_of_a_field(documents: duckdb.DuckDBPyRelation) -> None:
    assert valued(documents, "title").fetchall() == [("a", "The bank"), ("b", None)]
    assert valued(documents, "metadata.genre").fetchall() == [("a", "news"), ("b", None)]
