"""Vectors that are read row by row are those of the views, of rows that are shown, and of no other file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a document that was replaced and one that is gone, so that parts have rows that are hidden."""
    made = embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())
    texts = embedded_lakes.TEXTS | {"river": "The bank of the river is new. Nobody sits on the bank."}
    embedded_lakes.make(made.root, embedded_lakes.documents(texts), run_id="again")
    with Catalog.open(made) as catalog:
        catalog.delete_documents(catalog.snapshot().default_encoding or "", ["loan"], version=99)
    return made


@pytest.fixture(scope="module")
def con(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.root) as opened:
        yield opened


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return con.execute(sql).fetchall()


@pytest.mark.parametrize(("table", "keys"), [("sentences", "doc_id, sentence_index"),
                                             ("words", "doc_id, sentence_index, word_index")])  # fmt: skip
def test_a_place_has_the_vector_of_its_row(con: duckdb.DuckDBPyConnection, table: str, keys: str) -> None:
    here = rows(con, f"SELECT {keys}, embedding FROM {table} ORDER BY ALL")
    placed = rows(con, f"SELECT {keys}, stored_vectors(file, row) FROM internal.places_of_{table} ORDER BY ALL")
    assert placed == here
    ids = {row[0] for row in here}
    assert "river" in ids
    assert "loan" not in ids


def test_occurrences_and_words_of_sentences_have_the_vectors_of_words(con: duckdb.DuckDBPyConnection) -> None:
    keys = "doc_id, sentence_index, word_index"
    bank = rows(con, f"SELECT {keys}, embedding FROM words WHERE word_lower = 'bank' ORDER BY ALL")
    assert rows(con, f"SELECT {keys}, embedding FROM occurrences('bank') ORDER BY ALL") == bank
    first = rows(con, f"SELECT {keys}, embedding FROM words WHERE doc_id = 'river' AND sentence_index = 1 ORDER BY ALL")
    assert rows(con, f"SELECT {keys}, embedding FROM words_of(['river'], ['river 1']) ORDER BY ALL") == first
    assert len(first) > 4


def test_a_phrase_has_the_same_vector_without_places(lake: Lake, con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT doc_id, sentence_index, word_index, embedding FROM occurrences('the bank') ORDER BY ALL"
    with connect(lake.root, functions=lambda *_: None) as plain:
        assert rows(plain, "SELECT count(*) FROM duckdb_functions() WHERE function_name = 'stored_vectors'") == [(0,)]
        assert rows(con, sql) == rows(plain, sql) != []


def test_functions_that_are_added_by_others_find_the_same(lake: Lake, con: duckdb.DuckDBPyConnection) -> None:
    """Then there are no places: these are made only for functions that say that they read them."""

    def added(opened: duckdb.DuckDBPyConnection, snapshot: Snapshot, of: Lake) -> None:
        ModelFunctions()(opened, snapshot, of)

    sql = "SELECT doc_id, sentence_index, word_index, sense FROM senses('bank') ORDER BY ALL"
    with connect(lake.root, functions=added) as other:
        assert rows(other, sql) == rows(con, sql) != []


def test_without_a_file_or_a_row_there_is_no_vector(con: duckdb.DuckDBPyConnection) -> None:
    asked = "SELECT stored_vectors(NULL, 0), stored_vectors((SELECT min(file) FROM internal.places_of_words), NULL)"
    assert rows(con, asked) == [(None, None)]


@pytest.mark.parametrize("row", ["-1", "1000000"])
def test_a_row_that_is_not_there_is_refused(con: duckdb.DuckDBPyConnection, row: str) -> None:
    with pytest.raises(duckdb.Error, match="the file has rows 0 to "):
        con.execute(f"SELECT stored_vectors(file, {row}) FROM internal.places_of_words LIMIT 1").fetchall()


@pytest.mark.parametrize("name", ["/etc/passwd", "catalog.sqlite", "data/../catalog.sqlite"])
def test_no_other_file_is_read(lake: Lake, con: duckdb.DuckDBPyConnection, name: str) -> None:
    for file in (name, str(Path(str(lake.root)) / name)):
        with pytest.raises(duckdb.Error, match="reads no other file"):
            con.execute("SELECT stored_vectors($1, 0)", [file]).fetchall()


def test_a_part_that_is_gone_is_named_with_what_to_do(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path, embedded_lakes.documents())
    with connect(lake.root, functions=ModelFunctions()) as con:
        ((file,),) = rows(con, "SELECT DISTINCT file FROM internal.places_of_words")
        Path(file).unlink()
        with pytest.raises(duckdb.Error, match="cannot be read"):
            con.execute("SELECT stored_vectors($1, 0)", [file]).fetchall()
