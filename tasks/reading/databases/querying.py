"""What is asked of a database: whether it takes a query, its rows a few at a time, and the greatest value of a column.

Knows SQL, not documents. Every statement is a single query: it is part of another, or its cursor is declared.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyseme.tasks.reading.databases.address import DatabaseAddress, quoted

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

_MOST_ROWS = 64
_BATCH_BYTES = 16 << 20
_ROWS = "polyseme_rows"
_GREATEST = "greatest"
Rows = tuple[Sequence[str], Sequence[Sequence[object]]]
"""The names of the columns, and some rows."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a column was read: to `greatest`, as SQLite has it, and as text of any other database."""

    cursor: str
    greatest: str | int | float

    @property
    def stamp(self) -> str:
        """The position as text."""
        return json.dumps([self.cursor, self.greatest])

    @staticmethod
    def of(stamp: str) -> Position | None:
        """Return the position that a stamp stands for; None if it stands for none."""
        try:
            cursor, greatest = json.loads(stamp)
        except (ValueError, TypeError):
            return None
        is_one = isinstance(cursor, str) and isinstance(greatest, str | int | float)
        fits = not isinstance(greatest, int) or -(1 << 63) <= greatest < 1 << 63
        return Position(cursor, greatest) if is_one and fits else None


def check(connection: Connection, address: DatabaseAddress) -> None:
    """Let the database read the query without running it. Raises DBAPIError for one that it does not take."""
    order = f" ORDER BY {_column(address.cursor)}" if address.cursor else ""
    explain = "EXPLAIN " if address.scheme == "sqlite" else ""
    _run(connection, f"{explain}SELECT * FROM {_nested(address)} WHERE false{order}").close()


def greatest(connection: Connection, address: DatabaseAddress, since: Position | None) -> Position | None:
    """Return the greatest value of the cursor now, not below `since`; None if all are null."""
    column = _column(address.cursor)
    shown = column if address.scheme == "sqlite" else f"{column}::text"
    where = f"{column} IS NOT NULL" if since is None else f"{column} >= {_parameter(address)}"
    rows = _nested(address, escaped=since is not None)
    statement = f"SELECT {shown} FROM {rows} WHERE {where} ORDER BY {column} DESC LIMIT 1"
    with closing(_run(connection, statement, since)) as result:
        found = result.fetchone()
    if found is None or not isinstance(found[0], str | int | float):
        return since
    return Position(address.cursor, found[0])


def batches(connection: Connection, address: DatabaseAddress, since: Position | None) -> Generator[Rows, None, None]:
    """Yield the names of the columns and rows, at first none: those whose cursor is not below `since`, or all.

    Few at a time, fewer if they are wide: the longest that a row can be is not known before.
    """
    statement = address.sql
    if since is not None:
        where = f"{_column(address.cursor)} >= {_parameter(address)}"
        statement = f"SELECT * FROM {_nested(address, escaped=True)} WHERE {where}"
    with closing(_run(connection, statement, since)) as result:
        names = list(result.keys())
        yield names, []
        size = 1
        while rows := result.fetchmany(size):
            yield names, rows
            widest = max(width(row) for row in rows)
            size = max(1, min(size * 4, _MOST_ROWS, _BATCH_BYTES // max(widest, 1)))


def width(row: Sequence[object]) -> int:
    """Return about how many bytes the texts of a row take, at any depth."""
    return sum(_width(value) for value in row)


def _width(value: object) -> int:
    if isinstance(value, str | bytes | memoryview):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_width, value)) + 8 * len(value)
    if isinstance(value, dict):
        return sum(_width(key) + _width(item) for key, item in value.items())
    return 8


def _run(connection: Connection, statement: str, since: Position | None = None) -> CursorResult[Any]:
    options = {"stream_results": True, "max_row_buffer": 1, "no_parameters": since is None}
    parameters: Any = None
    if since is not None:
        is_sqlite = connection.dialect.name == "sqlite"
        parameters = (since.greatest,) if is_sqlite else {_GREATEST: since.greatest}
    return connection.exec_driver_sql(statement, parameters, execution_options=options)


def _nested(address: DatabaseAddress, *, escaped: bool = False) -> str:
    """Return the query as a table. A comment may be its last line."""
    sql = address.sql.replace("%", "%%") if escaped and address.scheme == "postgresql" else address.sql
    return f"(\n{sql}\n) AS {_ROWS}"


def _column(name: str) -> str:
    return f"{_ROWS}.{quoted(name)}"


def _parameter(address: DatabaseAddress) -> str:
    return "?" if address.scheme == "sqlite" else f"%({_GREATEST})s"
