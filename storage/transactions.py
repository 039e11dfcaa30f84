"""Transactions on the catalog's database: how readers and writers enter, wait and leave.

Knows SQLite's locking and the little that PostgreSQL needs instead, nothing of what the tables mean.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import OperationalError

from storage.errors import LakeError

PATIENCE_SECONDS = 60.0
"""How long a writer waits for others. A commit takes milliseconds; longer means that someone holds the lock."""

_BUSY_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_WRITES = "polyseme_writes"


def open_engine(url: URL, *, patience: float) -> Engine:
    """Return an engine whose transactions begin as `reading` and `writing` below expect."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    engine = create_engine(url)
    event.listen(engine, "connect", partial(_configure_sqlite, busy=min(patience, _BUSY_SECONDS)))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Hold one consistent picture of the database; writers go on meanwhile."""
    with _patiently(engine, writes=False, patience=PATIENCE_SECONDS) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, patience: float) -> Iterator[Connection]:
    """Hold the right to write, commit at the end, roll back on any exception.

    Raises LakeError where another process keeps that right for longer than `patience` seconds, or the disk is full.
    """
    with _patiently(engine, writes=True, patience=patience) as connection:
        try:
            yield connection
            connection.commit()
        except OperationalError as e:
            if not _is_trouble_with_the_disk(e):
                raise
            raise LakeError(
                f"Cannot write the catalog {engine.url.database}: {e.orig}. Nothing was changed; make room on its disk "
                "and run again."
            ) from e


@contextmanager
def _patiently(engine: Engine, *, writes: bool, patience: float) -> Iterator[Connection]:
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            connection, transaction = _enter(engine, writes=writes)
            break
        except OperationalError as e:
            if not _is_busy(e):
                raise
            if time.monotonic() > deadline:
                raise LakeError(
                    f"The catalog {engine.url.database} stayed locked for {patience:g} seconds. "
                    "Find the process that holds it, let it finish or end it, and run again."
                ) from e
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, _LONGEST_PAUSE)
    with connection, transaction:
        yield connection


def _enter(engine: Engine, *, writes: bool) -> tuple[Connection, RootTransaction]:
    connection = engine.connect()
    try:
        if engine.dialect.name == "sqlite":
            connection.execution_options(**{_WRITES: writes})
        else:
            connection.execution_options(isolation_level="READ COMMITTED" if writes else "REPEATABLE READ")
        return connection, connection.begin()
    except BaseException:
        connection.close()
        raise


def _configure_sqlite(connection: sqlite3.Connection, _record: Any, *, busy: float) -> None:
    # The driver's own idea of when a transaction begins would make ours deferred ones.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(busy * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer that began as a reader could not wait: upgrading fails at once where another commit came between.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_trouble_with_the_disk(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _is_busy(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
