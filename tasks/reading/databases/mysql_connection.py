"""A connection to MySQL or MariaDB: rows one at a time as they are read, their values as the server has them.

Text that is not UTF-8 is `Undecoded`, a date that no calendar has is text, BIT is a number, TIMESTAMP is in UTC.
PyMySQL decodes strictly, reads a result to its end before it closes it, and raises all kinds of Python's errors when a
server sends what it did not expect; here these are its own. Imported when a query is asked: PyMySQL is an extra.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pymysql import Connection, converters, err
from pymysql.constants import CR, FIELD_TYPE
from pymysql.cursors import SSCursor

from polyseme.tasks.reading.databases.liveness import keep_alive
from polyseme.tasks.reading.databases.loading import json_value, text_or_bytes

_SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET SESSION time_zone = '+00:00'",
)
_CODEC = "polyseme-lossless-utf8"
"""UTF-8 in which what is not UTF-8 survives as lone surrogates."""
_UNEXPECTED = (AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, struct.error)
_TEXTS = (
    FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.ENUM, FIELD_TYPE.SET, FIELD_TYPE.BLOB,
    FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB,
)  # fmt: skip


def opened(**settings: Any) -> Connection:
    """Return a connection that reads only. Raises errors of PyMySQL.

    Its limits on time are those of opening it: PyMySQL's would end every query whose first row takes long.
    """
    codecs.register(_codec)
    asks_for_tls = bool(settings.get("ssl") or settings.get("unix_socket"))
    plugins = {} if asks_for_tls else dict.fromkeys(("mysql_clear_password", "dialog"), _ClearText)
    with _told():
        connection = _Connection(charset="utf8mb4", conv=conversions(), auth_plugin_map=plugins, **settings)
        connection.encoding = _CODEC
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
        connection.unlimited()
    return connection


def conversions() -> dict[Any, Callable[..., object]]:
    """Return how values are written and read, by Python's types and MySQL's."""
    return {
        **converters.conversions,
        **dict.fromkeys(_TEXTS, _text),
        Decimal: lambda value, _=None: format(value, "f"),
        FIELD_TYPE.BIT: int.from_bytes,
        FIELD_TYPE.DECIMAL: Decimal,
        FIELD_TYPE.JSON: lambda text: json_value(_bytes(text)),
        FIELD_TYPE.TIME: str,
        FIELD_TYPE.TIMESTAMP: _instant,
    }


class _Connection(Connection):
    def fileno(self) -> int:
        """Return the number of the socket."""
        return int(self._sock.fileno())

    def unlimited(self) -> None:
        """Wait for rows as long as it takes."""
        self._read_timeout = None
        keep_alive(self._sock)

    def cursor(self, cursor: type[Any] | None = None) -> Any:
        """Return a cursor; rows that are left on the server are those of `_Rows`."""
        return super().cursor(_Rows if cursor is SSCursor else cursor)


class _Rows(SSCursor):
    connection: Any

    def execute(self, query: str, args: object = None) -> Any:
        """Send a statement."""
        with _told():
            return super().execute(query, args)

    def fetchone(self) -> Any:
        """Return a row, or None."""
        with _told():
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> Any:
        """Return rows."""
        with _told():
            return super().fetchmany(size)

    def close(self) -> None:
        """Close the cursor, and the connection if rows are left: the server would send them all."""
        if self.connection is not None and self._result is not None and self._result.unbuffered_active:
            self._result.unbuffered_active = False
            self.connection._force_close()
            self.connection = None
        super().close()


class _ClearText:
    """Instead of a plugin that would send the password to whoever asks for it."""

    def __init__(self, _: Connection) -> None:
        """Need nothing of the connection."""

    def authenticate(self, _: object) -> None:
        """Raise OperationalError."""
        raise err.OperationalError(
            CR.CR_AUTH_PLUGIN_CANNOT_LOAD,
            "it asks for the password in clear text, which needs TLS: set ssl-ca, or ssl-mode, in the option file",
        )


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _UNEXPECTED as error:
        is_told = isinstance(error, OSError | RuntimeError)
        what = str(error) if is_told else f"it sent what MySQL does not send ({type(error).__name__})"
        raise err.OperationalError(CR.CR_UNKNOWN_ERROR, what) from error


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != _CODEC.replace("-", "_"):
        return None
    return codecs.CodecInfo(
        name=_CODEC,
        encode=codecs.utf_8_encode,
        decode=lambda data, _="strict": codecs.utf_8_decode(data, "surrogateescape", True),
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _text(value: str | bytes) -> object:
    """Return text; binary data stays as it is."""
    return value if isinstance(value, bytes) or value.isascii() else text_or_bytes(_bytes(value))


def _instant(text: str) -> object:
    value = converters.convert_datetime(text)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
