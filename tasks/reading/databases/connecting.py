"""Connections to the databases of sources, for one query: read-only, and one snapshot from begin to end.

Values come as the database has them, whatever Python can hold: a date beyond the year 9999 is text, and text that is
not UTF-8 is `Undecoded`. Nothing that a query says can write: PostgreSQL and MySQL are told so, and SQLite opens its
file for reading alone. Passwords come from libpq's own places (PGPASSWORD, a password file, a service) and MySQL's.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.databases import mysql
from polyseme.tasks.reading.databases.address import DatabaseAddress
from polyseme.tasks.reading.databases.liveness import KEEPALIVE, watched
from polyseme.tasks.reading.databases.loading import json_value, text_or_bytes

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, ExceptionContext
    from sqlalchemy.exc import DBAPIError

_PATIENCE_SECONDS = 15
_DENIED = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
"""Other files of a machine are no part of a source; VACUUM INTO needs this too."""
_QUERY_IS_WRONG = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH)
_BEGIN = {"sqlite": "BEGIN", "mysql": mysql.BEGIN}
"""How a transaction for reading begins, where its engine does not say so."""
_DATES = ("date", "time", "timestamp", "timestamptz")
_SILENT = "it stopped answering, other connections too"
_TEXTS = ("text", "varchar", "bpchar", "name")


class QueryError(Exception):
    """A query that a database does not run as it is, however often it is asked; the message is the database's own."""


class UnavailableError(Exception):
    """A database that does not answer, or not to the end; the message is the database's own."""


@contextmanager
def connected(address: DatabaseAddress) -> Iterator[Connection]:
    """Open a connection for reading, in one transaction. Raises QueryError, UnavailableError, UsageError.

    So does whatever is done with the connection inside the `with`.
    """
    from sqlalchemy.exc import DBAPIError

    engine = {"sqlite": _sqlite, "postgresql": _postgres, "mysql": mysql.engine_of}[address.scheme](address)
    silent = Event()
    try:
        with ExitStack() as stack:
            connection = stack.enter_context(engine.connect())
            if address.scheme != "sqlite":
                descriptor = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
                silent = stack.enter_context(watched(descriptor, lambda: _answers(engine)))
            if address.scheme in _BEGIN:
                connection.exec_driver_sql(_BEGIN[address.scheme])
            yield connection
            with suppress(DBAPIError):
                connection.rollback()
    except DBAPIError as error:
        raise (UnavailableError(_SILENT) if silent.is_set() else _explained(error)) from None
    except sqlite3.Warning as error:  # more than one statement
        raise QueryError(str(error).rstrip(".")) from None
    finally:
        engine.dispose()


def _answers(engine: Engine) -> bool:
    """Return whether a server says anything to another connection: a refusal is an answer too."""
    try:
        engine.raw_connection().close()
    except Exception as error:
        return not _is_timeout(error)
    return True


def _is_timeout(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, TimeoutError) or type(error).__name__ == "ConnectionTimeout":
            return True
        error = error.__cause__ or error.__context__
    return False


def _postgres(address: DatabaseAddress) -> Engine:
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.pool import NullPool

    url = URL.create("postgresql+psycopg", host=address.host or None, port=address.port, database=address.database)
    settings: dict[str, object] = {"client_encoding": "utf8"}
    settings |= {f"keepalives_{name}": value for name, value in KEEPALIVE.items()}
    if "PGCONNECT_TIMEOUT" not in os.environ:
        settings["connect_timeout"] = _PATIENCE_SECONDS
    try:
        engine = create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args=settings,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )
    except ImportError as error:
        raise UsageError(
            f"A source in PostgreSQL needs a package that is not installed: {error}. Install polyseme[postgres]."
        ) from error
    event.listen(engine, "connect", lambda raw, _: _write_dates_alike(raw))
    event.listen(engine, "connect", lambda raw, _: _load_whatever_comes(raw))
    event.listen(engine, "handle_error", _close_cursor)
    return engine


def _close_cursor(failed: ExceptionContext) -> None:
    """Close the cursor of a connection that broke: SQLAlchemy leaves it, and psycopg warns of each left open."""
    if failed.is_disconnect and failed.execution_context is not None:
        with suppress(Exception):
            failed.execution_context.cursor.close()


def _write_dates_alike(connection: Any) -> None:
    """Let dates be written as ISO has them, whatever PGDATESTYLE says: the position of a cursor is kept as text."""
    connection.execute("SET DateStyle TO ISO")
    connection.commit()


def _load_whatever_comes(connection: Any) -> None:
    """Let no value end the query: one that Python has no type for comes as text."""
    from psycopg.types import datetime, string
    from psycopg.types.json import set_json_loads

    for kind in _DATES:
        loader = getattr(datetime, f"{kind.capitalize()}Loader")
        connection.adapters.register_loader(kind, _text_if_it_fails(loader))
    # Months have no length, and a time with a zone has no form in JSON.
    for kind in ("interval", "timetz"):
        connection.adapters.register_loader(kind, string.TextLoader)
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        for kind in _TEXTS:
            connection.adapters.register_loader(kind, _text_or_bytes_loader(string.TextLoader))
    set_json_loads(json_value, connection)


def _text_if_it_fails(loader: type[Any]) -> type[Any]:
    def load(self: Any, data: Any) -> object:
        try:
            return loader.load(self, data)
        except Exception:
            return bytes(data).decode(errors="replace")

    return type(loader.__name__, (loader,), {"load": load})


def _text_or_bytes_loader(loader: type[Any]) -> type[Any]:
    return type(loader.__name__, (loader,), {"load": lambda self, data: text_or_bytes(bytes(data))})


def _sqlite(address: DatabaseAddress) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    path = quote_from_bytes(os.fsencode(address.database))

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
        connection.text_factory = text_or_bytes
        connection.set_authorizer(_allowed)
        return connection

    return create_engine("sqlite://", creator=opened, poolclass=NullPool, hide_parameters=True)


def _allowed(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK


def _explained(error: DBAPIError) -> QueryError | UnavailableError:
    """Return what a database said, in one line: never the query, or what is in it."""
    origin = error.orig
    if (said := mysql.said(error)) is not None:
        words, is_wrong = said
        return QueryError(_line(words)) if is_wrong else UnavailableError(_line(words))
    diagnosis = getattr(origin, "diag", None)
    words = (getattr(diagnosis, "message_primary", None) or str(origin)).strip()
    if hint := getattr(diagnosis, "message_hint", None):
        words = f"{words} ({hint})"
    code = getattr(origin, "sqlite_errorcode", None)
    if isinstance(origin, sqlite3.Error):
        is_wrong = code is None or code & 0xFF in _QUERY_IS_WRONG
    else:
        kinds = {kind.__name__ for kind in type(origin).__mro__}
        is_wrong = kinds.isdisjoint(("OperationalError", "InterfaceError")) and diagnosis is not None
        is_wrong = is_wrong and not _is_of_the_server(getattr(origin, "sqlstate", None))
    return QueryError(_line(words)) if is_wrong else UnavailableError(_line(words))


def _line(words: str) -> str:
    return " ".join(words.split())[:500].rstrip(".")


def _is_of_the_server(state: str | None) -> bool:
    return state is not None and state[:2] in ("08", "53", "57", "58", "XX")
