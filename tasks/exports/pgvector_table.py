"""pgvector: a table in PostgreSQL with the rows and their vectors, for SQL that has both.

    postgresql://host:port/database?table=schema.name

Every change is one transaction, so that readers see the old rows or the new ones; what the export remembers is the
comment on the table. An address has no user and no password: these come from libpq's own places (PGUSER, PGPASSWORD, a
password file, a service). No index of vectors is made, since which one is right depends on the queries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE, VECTOR, DocumentState, States
from polyseme.tasks.exports.targets import MIXED, Change, needs, numbers_of
from polyseme.tasks.reading.databases.address import DatabaseAddress, is_database, parse

_PATIENCE_SECONDS = 15
_LOCK = 0x706F6C78
_EXAMPLE = "postgresql://host:5432/database?table=sentences"
_NO_EXTENSION = (
    "The database has no extension vector, and it cannot be made ({why}). Install pgvector on the server, and have an "
    "administrator run CREATE EXTENSION vector in that database."
)


@contextmanager
def opened(out: str) -> Iterator[PgvectorTable]:
    """Open the table that the address `out` names as a target. Raises UsageError and PolysemeError."""
    address = _address(out)
    try:
        import psycopg
    except ImportError as error:
        raise needs("PostgreSQL", "postgres", error) from error
    waits = {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": _PATIENCE_SECONDS}
    where = {"host": address.host or None, "port": address.port, "dbname": address.database}
    lock = "SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, address.table]
    with (
        _explained(address),
        psycopg.connect(autocommit=True, client_encoding="utf8", **where, **waits) as connection,
    ):
        free = connection.execute(*lock).fetchone()
        if free is None or not free[0]:
            raise PolysemeError(f"Another export writes {address.name}. Wait until it is done.")
        yield PgvectorTable(connection, address)


@contextmanager
def _explained(address: DatabaseAddress) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise PolysemeError(
            f"{address.name}: {_said(error)}. The table is as it was before. Check that the server runs and that you "
            "may write there; a user and a password belong in PGUSER and PGPASSWORD, or a password file."
        ) from None  # its cause may have values of a row


def _address(out: str) -> DatabaseAddress:
    if is_database(out):
        try:
            found = parse(out)
        except UsageError as error:
            raise UsageError(str(error).replace("A source", "A target", 1)) from None
        if found.scheme == "postgresql" and found.table and not found.cursor:
            return found
    raise UsageError(f"An export to pgvector takes the address of a table, such as {_EXAMPLE}.")


def _said(error: Any) -> str:
    """Return what PostgreSQL said, in one line: details and context may have values of a row."""
    return str(error.diag.message_primary or (str(error).strip().splitlines() or [""])[0]).rstrip(".")


class PgvectorTable:
    """A table on an open connection of psycopg."""

    incremental = True

    def __init__(self, connection: Any, address: DatabaseAddress) -> None:
        self._connection, self._address = connection, address
        self._table = ".".join(map(address.quoted, address.table.split(".")))

    def __str__(self) -> str:
        return self._address.name

    def mark(self) -> Mark | None:
        found = self._one(
            "SELECT to_regclass(%s)::oid, obj_description(to_regclass(%s), 'pg_class')", *[self._table] * 2
        )
        table, comment = found
        if table is None:
            return None
        if comment is None:
            raise UsageError(
                f"{self} is a table that no export made: it has no mark in its comment. It is left as it is; name "
                "another table."
            )
        return Mark.parse(comment, str(self))

    def states(self) -> States:
        found: dict[str, DocumentState] = {}
        rows = f"SELECT doc_id, min({STATE}), max({STATE}), count(*) FROM {self._table} GROUP BY doc_id"
        with _explained(self._address):
            for name, least, greatest, count in self._connection.execute(rows):
                found[name] = DocumentState(least if least == greatest else MIXED, count)
        return found

    def write(self, change: Change, mark: Mark) -> None:
        with _explained(self._address), self._connection.transaction():
            if change.whole:
                self._require_extension()
                columns = ", ".join(f'"{field.name}" {_type(field)}' for field in change.schema)
                self._connection.execute(f"CREATE TABLE {self._table} ({columns})")
            elif change.gone:
                self._connection.execute(f"DELETE FROM {self._table} WHERE doc_id = ANY(%s)", [sorted(change.gone)])
            self._copy(change)
            if change.whole:
                self._connection.execute(f"ALTER TABLE {self._table} ADD PRIMARY KEY ({', '.join(KEYS[mark.table])})")
            self.remember(mark)

    def remember(self, mark: Mark) -> None:
        from psycopg.sql import SQL, Literal

        comment = SQL("COMMENT ON TABLE {table} IS {mark}")
        self._connection.execute(comment.format(table=SQL(self._table), mark=Literal(mark.to_json())))

    def size(self) -> int | None:
        return int(self._one("SELECT pg_total_relation_size(to_regclass(%s))", self._table)[0])

    def _one(self, query: str, *values: object) -> Any:
        return self._connection.execute(query, values).fetchone()

    def _require_extension(self) -> None:
        import psycopg

        if self._one("SELECT to_regtype('vector') IS NOT NULL")[0]:
            return
        try:
            with self._connection.transaction():
                self._connection.execute("CREATE EXTENSION vector")
        except psycopg.Error as error:
            raise UsageError(_NO_EXTENSION.format(why=_said(error))) from None

    def _copy(self, change: Change) -> None:
        """Copy rows in PostgreSQL's binary format, of which pgvector has one for its types too."""
        names = ", ".join(f'"{name}"' for name in change.schema.names)
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {self._table} ({names}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types([_sent_as(field) for field in change.schema])
            for batch in change.rows:
                columns = [column.to_pylist() for column in batch.columns[:-1]]
                for row in zip(*columns, _binary(batch), strict=True):
                    copy.write_row(row)


def _type(field: pa.Field[Any]) -> str:
    """Return the type of a column."""
    if field.name == VECTOR:
        kind = "halfvec" if pa.types.is_float16(field.type.value_type) else "vector"
        return f"{kind}({field.type.list_size}) NOT NULL"
    # Not jsonb, which refuses some of what is JSON, such as a \\u0000.
    return "json" if field.name == "metadata" else _sent_as(field)


def _sent_as(field: pa.Field[Any]) -> str:
    """Return the type that values of a column are sent as, with the bytes that its own type has."""
    if field.name == VECTOR:
        return "bytea"
    if pa.types.is_list(field.type):
        return "text[]"
    kinds: dict[Any, str] = {
        pa.string(): "text", pa.int32(): "int4", pa.int64(): "int8", pa.float32(): "float4",
        pa.timestamp("us", tz="UTC"): "timestamptz",
    }  # fmt: skip
    return kinds[field.type]


def _binary(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Yield vectors as pgvector sends and receives them: two 16-bit numbers, the width and 0, and the numbers."""
    numbers = numbers_of(batch)
    head = np.array([numbers.shape[1], 0], ">u2").tobytes()
    for vector in numbers.astype(numbers.dtype.newbyteorder(">")):
        yield head + vector.tobytes()
