"""Columns that a query names and no view has: what to write instead, and DuckDB's own words where nothing is near."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from polyseme.storage.sql import absent_columns
from polyseme.storage.sql.absent_columns import Keys, in_our_words, instead_of

DOCUMENTS = """
SELECT * FROM (VALUES
    ('a', 'The bank', '{"genre": "news", "it\'\'s": 1, "nested": {"deep": 1}}'::JSON), ('b', NULL, '{"genre": "law"}'),
    ('c', NULL, NULL), ('d', NULL, '[1]')
) AS t(doc_id, title, metadata)"""
IN_DOCUMENTS = "That is in documents: JOIN documents USING (doc_id)."


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW documents AS {DOCUMENTS}")
        connection.execute("CREATE VIEW sentences AS SELECT 'a' AS doc_id, 0 AS sentence_index, 'Closed.' AS text")
        yield connection


def said(con: duckdb.DuckDBPyConnection, query: str) -> str:
    with pytest.raises(duckdb.BinderException) as error:
        con.sql(query)
    return in_our_words(error.value, con, query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT genre FROM documents", "genre is no column of documents; it is in the metadata of 2 documents: "
                                        "metadata->>'genre'."),
        ("SELECT d.genre FROM documents AS d", "genre is no column of documents; it is in the metadata of 2 documents: "
                                               "metadata->>'genre'."),
        ("SELECT * EXCLUDE (genre) FROM documents", "genre is no column of documents; it is in the metadata of 2 "
                                                    "documents: metadata->>'genre'."),
        ("SELECT title FROM documents ORDER BY ganre", "ganre is no column of documents. The nearest is genre, in the "
                                                       "metadata of 2 documents: metadata->>'genre'."),
        ("SELECT nested FROM documents", "nested is no column of documents; it is in the metadata of 1 document: "
                                         "metadata->>'nested'."),
        ("SELECT titel FROM documents", "titel is no column of documents. The nearest is title."),
        ("SELECT sentence_no FROM sentences", "sentence_no is no column of sentences. The nearest is sentence_index."),
        ("SELECT genre FROM sentences", "genre is no column of sentences; it is in the metadata of 2 documents: "
                                        f"metadata->>'genre'. {IN_DOCUMENTS}"),
        ("SELECT Title FROM sentences", "Title is no column of sentences; it is one of documents: JOIN documents USING "
                                        "(doc_id)."),
        ("SELECT tex FROM (SELECT text FROM sentences) AS s", "tex is no column of sentences. The nearest is text."),
        ("SELECT numbr FROM (SELECT 1 AS number)", "numbr is no column of the query. The nearest is number."),
    ],
)  # fmt: skip
def test_what_to_write_instead_is_said(con: duckdb.DuckDBPyConnection, query: str, message: str) -> None:
    assert said(con, query) == message


def test_what_resembles_nothing_has_duckdbs_own_words(con: duckdb.DuckDBPyConnection) -> None:
    assert said(con, "SELECT zzz FROM documents").startswith('Binder Error: Referenced column "zzz" not found')
    assert said(con, 'SELECT title FROM documents WHERE title = "Mon 3"').endswith(absent_columns.QUOTES)
    assert "nowhere" in said(con, "SELECT nowhere.x FROM documents")


def test_a_view_that_is_broken_takes_nothing_of_the_error(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE gone AS SELECT 1 AS a")
    con.execute("CREATE VIEW broken AS SELECT a FROM gone")
    con.execute("DROP TABLE gone")
    assert "genre" in said(con, "SELECT genre, 'broken' FROM documents")


def test_keys_are_counted_in_the_first_documents_and_those_that_sql_would_misread_are_left_out(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = con.view("documents")
    assert Keys.of(documents) == Keys({"genre": 2, "nested": 1})
    monkeypatch.setattr(absent_columns, "MOST_DOCUMENTS", 2)
    found = instead_of("genre", "documents", [], Keys.of(documents))
    assert (
        found == "genre is no column of documents; it is in the metadata of at least 2 documents: metadata->>'genre'."
    )
