"""Places of rows: the views that say in which file and row each vector is, and the function that reads those asked for.

DuckDB decodes the vectors of a whole row group if one of its rows is wanted. So a query for a few finds their places,
and `stored_vectors`, which a package with functions adds, reads these rows and no others.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote_name

HIDDEN = "internal"
"""Schema of what other views and macros join; `SHOW TABLES` does not list it."""
PLACED = ("sentences", "words")
"""Tables with such a view: all their columns but `embedding`, with `file` and `row`."""


def places_name(table: str, suffix: str) -> str:
    """Return the name of the view with the places of a table's rows."""
    return f"{HIDDEN}.{quote_name(f'places_of_{table}{suffix}')}"


def vector_at(rows: str, suffix: str) -> str:
    """Return SQL for the vectors of `rows` of such a view."""
    return f"{quote_name(f'stored_vectors{suffix}')}({rows}.file, {rows}.row)"
