r"""What `\d` of the shell shows: the views with what a row of each is, and the columns of one with meaning and unit."""

from __future__ import annotations

from difflib import get_close_matches

import pyarrow as pa

from polyseme.storage.errors import UsageError
from polyseme.storage.sql.descriptions import VIEWS, Meaning, described
from polyseme.storage.sql.literals import quote_name
from polyseme.tasks.sql.execution import Queries

_VIEWS = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY table_name"
_ENCODINGS = "SELECT name FROM encodings ORDER BY name"


def views_table(queries: Queries) -> pa.Table:
    """Return `view` and `one row is`: the views without a suffix in the order of their use, then all others by name."""
    encodings = _encodings(queries)
    names = _names(queries)
    ordered = [*(name for name in VIEWS if name in names), *(name for name in names if name not in VIEWS)]
    return pa.table({"view": ordered, "one row is": [_row_of(name, encodings) for name in ordered]})


def columns_table(queries: Queries, view: str) -> pa.Table:
    """Return the columns of a view or table with type, meaning and unit. Raises UsageError if there is none."""
    names = _names(queries)
    name = view.strip('"').lower()
    found = next((one for one in names if one.lower() == name), None)
    if found is None:
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"There is no view {view}.{hint} \\d lists all, \\df functions and macros.")
    rows = queries.ask(f"SELECT column_name, column_type FROM (DESCRIBE {quote_name(found)})")
    about = described(found, _encodings(queries))
    meanings = [(about.columns if about else {}).get(row["column_name"], Meaning("")) for row in rows]
    return pa.table(
        {
            "column": [row["column_name"] for row in rows],
            "type": [row["column_type"].lower() for row in rows],
            "meaning": [meaning.text for meaning in meanings],
            "unit": [meaning.unit for meaning in meanings],
        }
    )


def _names(queries: Queries) -> list[str]:
    return [row["name"] for row in queries.ask(_VIEWS)]


def _encodings(queries: Queries) -> list[str]:
    return [row["name"] for row in queries.ask(_ENCODINGS)]


def _row_of(name: str, encodings: list[str]) -> str:
    about = described(name, encodings)
    if about is None:
        return "a table of this session"
    if name in VIEWS:
        return about.row
    encoding = next(one for one in encodings if name.endswith(f"_{one}"))
    return f"the same in the encoding {encoding}"
