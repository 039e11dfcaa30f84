"""Installing: a snapshot's tables, views and macros made on a connection.

DuckDB binds a macro when it is made, and with it all that it reads, down to the footers of the parts. So macros are
made while views without rows, and macros of a line, stand in for what they name, which takes half the time; what a
macro names is looked up again whenever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import duckdb

from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.schemas import TABLES
from polyseme.storage.sql.descriptions import comments
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.row_places import HIDDEN, PLACED, places_name
from polyseme.storage.sql.table_views import no_places, no_rows
from polyseme.storage.sql.views import statements, suffixes, tables

_KEYS = ("CREATE MACRO word_key(word) AS word::VARCHAR", "CREATE MACRO word_keys(text) AS [text::VARCHAR]")
_MOST_FOOTERS = 5_000


def install(
    con: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    lake: Lake,
    *,
    at: str | None = None,
    macros: bool = True,
    more: Callable[[], None] = lambda: None,
    places: bool = False,
    kept: bool = False,
) -> None:
    """Create the lake's tables, views and macros in an empty database, in one transaction.

    With `at`, a folder or a URL, the views find their files there, or where that database is opened (see `relocation`),
    and are commented: on a connection of our own that would take half as long again as opening it. Without `macros`
    only tables, views and `word_key`. `more` makes further functions and macros; while it runs, views have no rows.
    With `places` it finds the views of places, and makes `stored_vectors`; with `kept` also `document_vector_rows`.
    Raises a DuckDB error for a part that cannot be read; see `explained`.
    """
    lake.files.attach(con, [path for paths in snapshot.parts.values() for path in paths])
    con.execute("BEGIN")
    con.execute(f"CREATE SCHEMA {HIDDEN}")
    copied = tables(snapshot, at or str(lake.root))
    for name, table in copied.items():
        con.register("arriving", table)
        con.execute(f"CREATE TABLE {name} AS FROM arriving")
        con.unregister("arriving")
    made = statements(snapshot, lake, at=at, places=places, kept=kept)
    _run(con, made.guard)
    _run(con, _without_rows(snapshot, places=places))
    _run(con, made.derived)
    _run(con, _KEYS)
    if macros:
        _run(con, _without_occurrences(snapshot))
        _run(con, made.macros)
        more()
        _run(con, _instead(made.occurrences))
    _run(con, _instead(made.keys))
    _run(con, _instead(made.parts))
    if at is not None:
        _run(con, comments(copied))
    con.execute("COMMIT")


def keep_footers(con: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Let a connection read the footer of each part once: all are needed whenever a query names the view of a table.

    Not those of a lake with very many, which would take more memory than they are worth.
    """
    if sum(len(paths) for paths in snapshot.parts.values()) <= _MOST_FOOTERS:
        con.execute("SET parquet_metadata_cache = true")


def _run(con: duckdb.DuckDBPyConnection, made: Iterable[str]) -> None:
    for statement in made:
        con.execute(statement)


def _instead(made: Iterable[str]) -> Iterator[str]:
    return (f"CREATE OR REPLACE {statement.lstrip().removeprefix('CREATE ')}" for statement in made)


def _without_rows(snapshot: Snapshot, *, places: bool) -> Iterator[str]:
    for encoding in snapshot.encodings:
        for table in TABLES:
            view = quote_name(f"{table}_{encoding.name}")
            yield f"CREATE VIEW {view} AS {no_rows(table, encoding.spec.width)}"
        for table in PLACED if places else ():
            yield f"CREATE VIEW {places_name(table, f'_{encoding.name}')} AS {no_places(table)}"


def _without_occurrences(snapshot: Snapshot) -> Iterator[str]:
    columns = "doc_id, title, sentence_index, word_index, word, char_start, char_end, text AS sentence, embedding"
    for suffix, _ in suffixes(snapshot):
        yield f"""CREATE MACRO "occurrences{suffix}"(word, by_lemma := false) AS TABLE
SELECT {columns} FROM "words{suffix}" CROSS JOIN (SELECT title, text FROM "documents{suffix}")"""
