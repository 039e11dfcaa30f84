"""PostgreSQL under the catalog: the engine that several machines share.

Writers queue for an advisory lock that lasts as long as their transaction, one for each schema, so that versions and
the fence mean what they mean in SQLite. Passwords come from libpq's own places (PGPASSWORD, PGPASSFILE, a service).
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from polyseme.storage.database.roles import role_of
from polyseme.storage.errors import UsageError

LONGEST_KEY = 2600
"""The most bytes of UTF-8 that a document's id and uri may have together: a row of an index holds 2,704."""

_CONNECT_SECONDS = 15
_LOCK_SECONDS = 5.0
_LOCKS = {"write": 0x706F6C79, "publish": 0x706F6C7A}
_WAITING_HELPS = frozenset({
    "55P03",    # lock_not_available: our own wait for the lock ran out
    "40001", "40P01",    # serialization_failure, deadlock_detected
    "53300",    # too_many_connections
    "57P03",    # cannot_connect_now: it is starting or stopping
})  # fmt: skip
_DISK_FULL, _TOO_LONG = "53100", "54000"


def open_engine(url: URL, *, patience: float) -> Engine:
    """Return an engine; PostgreSQL itself waits up to five of the `patience` seconds at a time. Raises UsageError."""
    try:
        engine = create_engine(
            url,
            hide_parameters=True,  # in messages: among them are excerpts of refused input
            # A connection that idled while the server was restarted is replaced, not used.
            pool_pre_ping=True,
            connect_args={} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS},
        )
    except ImportError as error:
        raise UsageError(
            f"A catalog in PostgreSQL needs a package that is not installed: {error}. Install polyseme[postgres]."
        ) from error
    event.listen(engine, "begin", partial(_begin, wait=min(patience, _LOCK_SECONDS)))
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Return True if another process was in the way, and waiting helps."""
    return _state(error) in _WAITING_HELPS


def explanation(error: DBAPIError) -> str:
    """Return what is wrong and what to do: an operational error of a server is never a fault of Polyseme."""
    if _state(error) == _DISK_FULL:
        return f"{_first_line(error)}. Nothing was changed; make room on the server's disk and run again."
    if _state(error) == _TOO_LONG:
        return f"{_first_line(error)}: a document's id or address is too long for its index. Give it a shorter one."
    return (
        f"{_first_line(error)}. Check that the server runs and accepts you (a password belongs in PGPASSWORD or "
        "PGPASSFILE), and run again: what was already done is not done twice."
    )


def _begin(connection: Connection, *, wait: float) -> None:
    role = role_of(connection)
    if role == "read":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    # Every statement of a writer has to see what was committed before it got the lock, so none has an older snapshot.
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, int(wait * 1000))}")
    connection.exec_driver_sql(
        f"SELECT pg_advisory_xact_lock({_LOCKS[role]}, hashtext(coalesce(current_schema(), '')))"
    )
    # What is acknowledged has to survive a crash of the server, even if its administrator chose speed.
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true), "
        "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END"
    )


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _first_line(error: DBAPIError) -> str:
    """Return the first line of PostgreSQL's message: it names host, user and database, and never a password."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    return lines[0].rstrip(".")
