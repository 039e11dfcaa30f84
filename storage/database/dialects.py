"""Dialects: statements that SQLite and PostgreSQL both accept, as inserts with `on_conflict` and bounded lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

VALUES_A_QUERY = 1000
"""Both engines limit the values of one statement."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield `items` in slices that one query can name."""
    for start in range(0, len(items), VALUES_A_QUERY):
        yield items[start : start + VALUES_A_QUERY]


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that has `on_conflict_*`, which SQLAlchemy offers by dialect only."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
