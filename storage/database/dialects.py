"""Dialects: what SQLite and PostgreSQL both accept: inserts with `on_conflict`, bounded lists, the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Table, Text, func
from sqlalchemy.dialects import postgresql, sqlite

VALUES_A_QUERY = 1000
"""Both engines limit the values of one statement."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item], *, values_each: int = 1) -> Iterator[Sequence[_Item]]:
    """Yield `items` in slices that one query can name, each with so many values."""
    size = VALUES_A_QUERY // values_each
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that has `on_conflict_*`, which SQLAlchemy offers by dialect only."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def clock(connection: Connection) -> ColumnElement[str]:
    """Return SQL for the time of the database, in ISO 8601 and UTC: a server's is the same for all its machines."""
    if connection.dialect.name == "postgresql":
        time = func.to_char(func.timezone("UTC", func.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US', type_=Text)
    else:
        time = func.strftime("%Y-%m-%dT%H:%M:%f", "now", type_=Text)
    return time.concat("+00:00")
