"""Dialects: what SQLite and PostgreSQL both accept: inserts with `on_conflict`, bounded lists, the time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, TableValuedAlias, Text, cast, column, func, literal
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

VALUES_A_QUERY = 1000
"""Both engines limit the values of one statement."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Yield `items` in slices that one query can name."""
    for start in range(0, len(items), VALUES_A_QUERY):
        yield items[start : start + VALUES_A_QUERY]


def listed(connection: Connection, items: Sequence[str]) -> TableValuedAlias:
    """Return strings as a table with a column `value`, to join with: one parameter, however many they are."""
    text = literal(json.dumps(items), Text)
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # a tenth of SQLAlchemy's own import

        return func.json_array_elements_text(cast(text, postgresql.JSON)).table_valued(column("value", Text))
    return func.json_each(text).table_valued(column("value", Text))


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that has `on_conflict_*`, which SQLAlchemy offers by dialect only."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def clock(connection: Connection) -> ColumnElement[str]:
    """Return SQL for the time of the database, in ISO 8601 and UTC: a server's is the same for all its machines."""
    if connection.dialect.name == "postgresql":
        time = func.to_char(func.timezone("UTC", func.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.US', type_=Text)
    else:
        time = func.strftime("%Y-%m-%dT%H:%M:%f", "now", type_=Text)
    return time.concat("+00:00")
