"""Places of rows: the views that say in which file and row each vector is, and the function that reads those asked for.

DuckDB decodes the vectors of a whole row group if one of its rows is wanted. So a query for a few finds their places,
and `stored_vectors`, which a package with functions adds, reads these rows and no others.
"""

from __future__ import annotations

import duckdb

from polyseme.storage.sql.literals import quote_name

HIDDEN = "internal"
"""Schema of what other views and macros join; `SHOW TABLES` does not list it."""
PLACED = ("sentences", "words")
"""Tables with such a view: all their columns but `embedding`, with `file` and `row`."""


def places_name(table: str, suffix: str) -> str:
    """Return the name of the view with the places of a table's rows."""
    return f"{HIDDEN}.{quote_name(f'places_of_{table}{suffix}')}"


def has_places(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a connection has these views."""
    views = "SELECT count(*) > 0 FROM duckdb_views() WHERE schema_name = $1 AND starts_with(view_name, 'places_of_')"
    ((found,),) = con.execute(views, [HIDDEN]).fetchall()
    return bool(found)


def with_vectors(table: str, alias: str, suffix: str, *, placed: bool) -> tuple[str, str]:
    """Return SQL for the rows of a table and, of these as `alias`, for their vectors: read by place if `placed`."""
    if placed:
        return places_name(table, suffix), f"{quote_name(f'stored_vectors{suffix}')}({alias}.file, {alias}.row)"
    return quote_name(f"{table}{suffix}"), f"{alias}.embedding"
