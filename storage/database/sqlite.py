"""SQLite under the catalog: writers queue for its one lock, a reader keeps its snapshot (WAL)."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from polyseme.storage.database.roles import role_of

LONGEST_KEY = None
"""The most bytes of UTF-8 that a document's id and uri may have together: no limit."""

_BUSY_SECONDS = 5.0
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def open_engine(url: URL, *, patience: float) -> Engine:
    """Return an engine; SQLite itself waits up to five of the `patience` seconds at a time."""
    engine = create_engine(url, hide_parameters=True)  # in messages: among them are excerpts of refused input
    event.listen(engine, "connect", partial(_configure_sqlite, busy=min(patience, _BUSY_SECONDS)))
    event.listen(engine, "begin", _begin)
    return engine


def is_busy(error: OperationalError) -> bool:
    """Return True if another process was in the way, and waiting helps."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explanation(error: OperationalError) -> str | None:
    """Return what is wrong with the disk and what to do; None if the disk is not the cause."""
    if _code(error) not in _DISK:
        return None
    return f"{error.orig}. Nothing was changed; make room on its disk, check that you may write there, and run again."


def _code(error: OperationalError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def _configure_sqlite(connection: sqlite3.Connection, _record: Any, *, busy: float) -> None:
    # The driver would begin transactions by itself, and only deferred ones.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(busy * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    # A writer that began as a reader could not wait: upgrading fails at once if another commit came in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if role_of(connection) == "write" else "BEGIN")
