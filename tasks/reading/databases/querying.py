"""What is asked of a database: whether it takes a query, its rows a few at a time, and the greatest value of a column.

Knows SQL, not documents. Every statement is a single query: it is part of another, its cursor is declared, or (MySQL)
it was read as part of another before.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from polyseme.tasks.reading.databases import mysql
from polyseme.tasks.reading.databases.address import DatabaseAddress
from polyseme.tasks.reading.databases.connecting import QueryError

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

_MOST_ROWS = 64
_BATCH_BYTES = 16 << 20
_ROWS = "polyseme_rows"
_GREATEST = "greatest"
_SINCE = "\0"
"""In a statement, where the value of a position belongs. No address has one."""
Rows = tuple[Sequence[str], Sequence[Sequence[object]]]
"""The names of the columns, and some rows."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a column was read: to `greatest`, as SQLite has it, and as text of any other database.

    Of MySQL, which compares text with a number inexactly, it has the `kind` too: `number`, `float`, a type of time or
    `text`.
    """

    cursor: str
    greatest: str | int | float
    kind: str = ""

    @property
    def stamp(self) -> str:
        """The position as text."""
        return json.dumps([self.cursor, self.greatest, self.kind] if self.kind else [self.cursor, self.greatest])

    @staticmethod
    def of(stamp: str) -> Position | None:
        """Return the position that a stamp stands for; None if it stands for none."""
        try:
            cursor, greatest, kind = (*json.loads(stamp), "")[:3]
            found = Position(cursor, greatest, kind)
            is_one = isinstance(cursor, str) and isinstance(greatest, str | int | float) and isinstance(kind, str)
            _ = found.parameter
        except (ValueError, TypeError, ArithmeticError):
            return None
        fits = not isinstance(greatest, int) or -(1 << 63) <= greatest < 1 << 63
        return found if is_one and fits else None

    @property
    def parameter(self) -> str | int | float | Decimal:
        """The value as a database compares it."""
        if self.kind == mysql.NUMBER:
            return Decimal(str(self.greatest))
        return float(self.greatest) if self.kind == mysql.FLOAT else self.greatest


def check(connection: Connection, address: DatabaseAddress) -> None:
    """Let the database read the query without running it. Raises DBAPIError for one that it does not take."""
    if address.scheme == "mysql" and not address.cursor:
        # A nested query may not have a name twice, and neither INTO nor anything that is no query.
        _run(connection, f"SELECT 1 FROM DUAL WHERE false AND EXISTS (\n{address.sql}\n)").fetchall()
        return
    order = f" ORDER BY {_column(address)}" if address.cursor else ""
    explain = "EXPLAIN " if address.scheme == "sqlite" else ""
    _run(connection, f"{explain}SELECT * FROM {_nested(address)} WHERE false{order}").fetchall()


def greatest(connection: Connection, address: DatabaseAddress, since: Position | None) -> Position | None:
    """Return the greatest value of the cursor now, not below `since`; None if all are null."""
    if address.scheme == "mysql":
        return _greatest_of_mysql(connection, address, since)
    column = _column(address)
    shown = column if address.scheme == "sqlite" else f"{column}::text"
    where = f"{column} IS NOT NULL" if since is None else f"{column} >= {_SINCE}"
    rows = _nested(address)
    statement = f"SELECT {shown} FROM {rows} WHERE {where} ORDER BY {column} DESC LIMIT 1"
    with closing(_run(connection, statement, since)) as result:
        found = result.fetchone()
    if found is None or not isinstance(found[0], str | int | float):
        return since
    return Position(address.cursor, found[0])


def _greatest_of_mysql(connection: Connection, address: DatabaseAddress, since: Position | None) -> Position | None:
    # MAX compares an ENUM as text, as >= does and ORDER BY does not. What is computed is exact:
    # FLOAT is shown rounded, and MariaDB writes the greatest BIT as digits.
    most = f"MAX({_column(address)})"
    rows = _nested(address)
    where = "" if since is None else f" WHERE {_column(address)} >= {_SINCE}"
    with closing(_run(connection, f"SELECT {most}, {most} + 0, {most} + 0e0 FROM {rows}{where}", since)) as result:
        assert result.cursor is not None
        kind = mysql.kind_of(result.cursor.description[0][1])
        row: Any
        (row,) = result.fetchall()  # to its end, or the connection is closed
        value, as_number, as_float = row
    if since is not None and since.kind != kind:
        raise QueryError("its cursor has another type than before")
    if isinstance(value, datetime):
        value = value.replace(tzinfo=None)
    if value is None or isinstance(value, bytes):
        return since
    exact = {mysql.NUMBER: as_number, mysql.FLOAT: as_float}.get(kind, value)
    return Position(address.cursor, str(exact), kind)


def batches(connection: Connection, address: DatabaseAddress, since: Position | None) -> Generator[Rows, None, None]:
    """Yield the names of the columns and rows, at first none: those whose cursor is not below `since`, or all.

    Few at a time, fewer if they are wide: the longest that a row can be is not known before.
    """
    statement = address.sql
    if address.scheme == "mysql":
        check(connection, address)
    if since is not None:
        statement = f"SELECT * FROM {_nested(address)} WHERE {_column(address)} >= {_SINCE}"
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
    if since is not None and connection.dialect.name == "sqlite":
        statement, parameters = statement.replace(_SINCE, "?"), (since.parameter,)
    elif since is not None:
        # A name of a column may have a percent sign too.
        statement = statement.replace("%", "%%").replace(_SINCE, f"%({_GREATEST})s")
        parameters = {_GREATEST: since.parameter}
    return connection.exec_driver_sql(statement, parameters, execution_options=options)


def _nested(address: DatabaseAddress) -> str:
    """Return the query as a table. A comment may be its last line."""
    return f"(\n{address.sql}\n) AS {_ROWS}"


def _column(address: DatabaseAddress) -> str:
    return f"{_ROWS}.{address.quoted(address.cursor)}"
