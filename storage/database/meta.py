"""The counters in a catalog: the version that every change raises, and the ordinal of the last run."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, select, update

from polyseme.storage.database.schema import meta

Counter = Literal["catalog_version", "last_ordinal"]


def advance(connection: Connection, counter: Counter) -> int:
    """Raise a counter by one and return it."""
    value = 1 + read(connection, counter)
    connection.execute(update(meta).where(meta.c.key == counter).values(value=str(value)))
    return value


def read(connection: Connection, counter: Counter) -> int:
    """Return a counter as it stands."""
    return int(connection.scalars(select(meta.c.value).where(meta.c.key == counter)).one())
