"""Transactions on the catalog's database: how readers, writers and publishers begin, wait and end.

Whatever the engine, there is one writer at a time and a reader has one snapshot. Knows no tables; what SQLite and
PostgreSQL each need for this is in `sqlite` and `postgres`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import DBAPIError, OperationalError

from polyseme.storage.catalog_url import place_of
from polyseme.storage.database import postgres as postgres_engine
from polyseme.storage.database import sqlite as sqlite_engine
from polyseme.storage.database.roles import Role, assign_role
from polyseme.storage.errors import LakeError, mend_of

PATIENCE_SECONDS = 60.0
"""How long a writer waits for others. A commit takes milliseconds; longer means that a process holds the lock."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class _Dialect(Protocol):
    """What the module of an engine has."""

    @property
    def LONGEST_KEY(self) -> int | None: ...

    def open_engine(self, url: URL, *, patience: float) -> Engine: ...
    def is_busy(self, error: DBAPIError) -> bool: ...
    def explanation(self, error: DBAPIError) -> str | None: ...


def open_engine(url: URL, *, patience: float) -> Engine:
    """Return an engine whose transactions begin by their role. Connects to nothing yet."""
    return _dialect(url).open_engine(url, patience=patience)


def longest_key(engine: Engine) -> int | None:
    """Return the most bytes of UTF-8 that a document's id and uri may have together; None if there is no limit."""
    return _dialect(engine.url).LONGEST_KEY


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a read transaction (one snapshot); writers go on meanwhile. Raises LakeError like `writing`."""
    with _transaction(engine, "read", patience=PATIENCE_SECONDS) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, patience: float) -> Iterator[Connection]:
    """Open the write transaction, one at a time; commit at the end, roll back on any exception.

    Raises LakeError if other processes write for longer than `patience` seconds, the disk is full, or the connection
    is lost.
    """
    with _transaction(engine, "write", patience=patience) as connection:
        yield connection
        connection.commit()


@contextmanager
def publishing(engine: Engine, *, patience: float) -> Iterator[None]:
    """Hold the publishing lock, one at a time on all machines that share the catalog; readers and writers go on.

    Raises LakeError like `writing`, also at the end if the lock was lost in the meantime.
    """
    if engine.dialect.name != "sqlite":
        with _transaction(engine, "publish", patience=patience) as connection:
            yield
            connection.commit()
        return
    # A transaction of SQLite would block writers. Its file belongs to one machine, so a lock file is enough.
    lock = _lock_file(engine)
    try:
        lock.acquire(timeout=patience)
    except Timeout as e:
        raise _locked(engine, patience) from e
    except OSError as e:
        raise LakeError(f"Cannot lock {lock.lock_file}: {e}. {mend_of(e)}") from e
    try:
        yield
    finally:
        lock.release()


def _lock_file(engine: Engine) -> FileLock:
    path = Path(str(engine.url.database)).with_name(".publish.lock")
    if path.is_symlink():
        # Locking opens the file for writing and empties it.
        raise LakeError(f"{path} is a link, and Polyseme makes none. Remove it if you trust this lake, and run again.")
    return FileLock(path)


@contextmanager
def _transaction(engine: Engine, role: Role, *, patience: float) -> Iterator[Connection]:
    connection, transaction = _begin(engine, role, patience)
    with connection, transaction:
        try:
            yield connection
        except DBAPIError as e:
            _raise_explained(e, engine)
            raise
        if engine.dialect.name == "sqlite":
            sqlite_engine.require_unchanged(connection)


def _begin(engine: Engine, role: Role, patience: float) -> tuple[Connection, RootTransaction]:
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            return _try_begin(engine, role)
        except DBAPIError as e:
            if not _dialect(engine.url).is_busy(e):
                _raise_explained(e, engine)
                raise
            if time.monotonic() > deadline:
                raise _locked(engine, patience) from e
        time.sleep(random.uniform(0, pause))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _try_begin(engine: Engine, role: Role) -> tuple[Connection, RootTransaction]:
    connection = engine.connect()
    try:
        assign_role(connection, role)
        return connection, connection.begin()
    except BaseException:
        connection.close()
        raise


def _dialect(url: URL) -> _Dialect:
    return sqlite_engine if url.get_backend_name() == "sqlite" else postgres_engine


def _raise_explained(error: DBAPIError, engine: Engine) -> None:
    """Raise LakeError for an error that a user can act on; return for one that is a fault of Polyseme."""
    # Of a server only an operational error: another is a fault of ours. A file may hold anything at all.
    theirs = isinstance(error, OperationalError) or engine.dialect.name == "sqlite"
    explanation = _dialect(engine.url).explanation(error) if theirs else None
    if explanation is not None:
        raise LakeError(f"Cannot use the catalog {place_of(engine.url)}: {explanation}") from error


def _locked(engine: Engine, patience: float) -> LakeError:
    return LakeError(
        f"The catalog {place_of(engine.url)} stayed locked for {patience:g} seconds. "
        "Find the process that holds the lock, let it finish or end it, and run again."
    )
