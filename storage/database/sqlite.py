"""SQLite under the catalog: writers queue for its one lock, a reader keeps its snapshot (WAL).

The file may have been made by a stranger, so functions in its schema are not trusted and a reader cannot write. Where
nothing can be written, WAL has no place for its index: the file is then read as one that does not change.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from polyseme.storage.checks import RESTORE
from polyseme.storage.database.roles import role_of
from polyseme.storage.errors import CANNOT_WRITE, MAKE_ROOM, LakeError

LONGEST_KEY = None
"""The most bytes of UTF-8 that a document's id and uri may have together: no limit."""

_BUSY_SECONDS = 5.0
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_DAMAGED = (
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR,
    # Rows that contradict each other, of which a copy or a commit makes more.
    sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG,
)  # fmt: skip
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""Ends a journal that names another file, which SQLite would delete. Polyseme never writes one."""
_SEEN = "polyseme_seen"


def open_engine(url: URL, *, patience: float) -> Engine:
    """Return an engine; SQLite itself waits up to five of the `patience` seconds at a time."""
    path = Path(str(url.database))
    how = {} if _is_writable(path) else {"poolclass": NullPool}
    engine = create_engine(
        url,
        creator=partial(_connect, path),
        hide_parameters=True,  # in messages: among them are excerpts of refused input
        **how,
    )
    event.listen(engine, "connect", partial(_configure_sqlite, path=path, busy=min(patience, _BUSY_SECONDS)))
    event.listen(engine, "begin", _begin)
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Return True if another process was in the way, and waiting helps."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explanation(error: DBAPIError) -> str | None:
    """Return what is wrong with the file or its disk and what to do; None if neither is the cause."""
    code = _code(error)
    if code == sqlite3.SQLITE_READONLY:
        return f"{error.orig}. Nothing was changed. {CANNOT_WRITE}"
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"{error.orig}. Nothing was changed; check that you may read it and the folder that it is in."
    if code in _DISK:
        return f"{error.orig}. Nothing was changed. {MAKE_ROOM}"
    if code in _DAMAGED or "decode" in str(error.orig):
        return f"{error.orig}. {RESTORE}"
    return None


def require_unchanged(connection: Connection) -> None:
    """Raise LakeError if a file that is read as one that does not change did change since it was opened."""
    info = connection.info
    if _SEEN in info and info[_SEEN] != _state(Path(str(connection.engine.url.database))):
        raise LakeError(
            f"The catalog {connection.engine.url.database} was changed while it was read from where it cannot be "
            "locked. Run the same command again."
        )


def _code(error: DBAPIError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0)) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    _require_files(path, "-journal", "-wal", "-shm")
    _refuse_super_journal(path)
    how = "mode=rwc"
    if not _is_writable(path):
        if not _size(path, "-wal"):
            how = "mode=ro&immutable=1"
        elif Path(f"{path}-shm").exists():
            how = "mode=ro"
        else:
            return _connect_to_copy(path)
    # As an address, because a name may have any character. The pool passes a connection from thread to thread.
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, check_same_thread=False)


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    """Open a copy with its log merged: SQLite reads a log only with an index, and can make none beside this one."""
    _require_files(path, "", "-wal")
    with tempfile.TemporaryDirectory(prefix="polyseme-") as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        with closing(sqlite3.connect(copy)) as merging:
            merging.execute("PRAGMA journal_mode = DELETE")
        found = sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        found.execute("SELECT 1 FROM sqlite_master").fetchone()  # opens the file, which has no name from here on
        return found


def _configure_sqlite(connection: sqlite3.Connection, record: Any, *, path: Path, busy: float) -> None:
    # The driver would begin transactions by itself, and only deferred ones.
    connection.isolation_level = None
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA busy_timeout = {int(busy * 1000)}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not _is_writable(path):
        record.info[_SEEN] = _state(path)
    elif connection.execute("PRAGMA journal_mode").fetchone() != ("wal",) and _may_be_ours(connection):
        connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    role = role_of(connection)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if role == 'write' else 'ON'}")
    # A writer that began as a reader could not wait: upgrading fails at once if another commit came in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if role == "write" else "BEGIN")


def _may_be_ours(connection: sqlite3.Connection) -> bool:
    """Return False for the database of another program, which is not converted."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return not names or "meta" in names


def _is_writable(path: Path) -> bool:
    """Return True for a file that may be written, in a folder where SQLite may put others beside it."""
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def _state(path: Path) -> tuple[int, int, int]:
    stats = path.stat()
    return stats.st_mtime_ns, stats.st_size, _size(path, "-wal")


def _size(path: Path, suffix: str) -> int:
    """Return the bytes of a file beside the database; 0 if there is none."""
    try:
        return os.lstat(f"{path}{suffix}").st_size
    except OSError:
        return 0


def _require_files(path: Path, *suffixes: str) -> None:
    """Raise LakeError if there is anything but a file under a name that SQLite uses: it would wait for a pipe."""
    for found in (Path(f"{path}{suffix}") for suffix in suffixes):
        if found.is_symlink() or (found.exists() and not found.is_file()):
            raise LakeError(f"{found} is a link, a pipe or a folder, and SQLite makes only files. {RESTORE}")


def _refuse_super_journal(path: Path) -> None:
    try:
        with Path(f"{path}-journal").open("rb") as file:
            file.seek(-len(_SUPER_JOURNAL), os.SEEK_END)
            found = file.read()
    except OSError:
        return
    if found == _SUPER_JOURNAL:
        raise LakeError(
            f"{path}-journal names another file, which SQLite would delete, and Polyseme writes no such journal. "
            f"Nothing was opened. {RESTORE}"
        )
