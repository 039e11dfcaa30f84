"""Rows of the catalog as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Select, Text

from polyseme.storage.catalog_url import place_of
from polyseme.storage.checks import RESTORE
from polyseme.storage.errors import LakeError

_ROWS_A_BATCH = 10_000


def read_table(connection: Connection, query: Select[tuple[object, ...]]) -> pa.Table:
    """Return a query's rows: text columns as strings, all others as 64-bit integers.

    Read a batch at a time, so that a long table is never in memory as Python objects. Raises LakeError for a value of
    another type: SQLite stores any value in any column.
    """
    fields = [pa.field(c.name, pa.string() if isinstance(c.type, Text) else pa.int64()) for c in query.selected_columns]
    schema = pa.schema(fields)
    batches = [
        pa.record_batch(
            [_array(connection, column, f) for column, f in zip(zip(*rows, strict=True), fields, strict=True)],
            schema=schema,
        )
        for rows in connection.execute(query).partitions(_ROWS_A_BATCH)
    ]
    return pa.Table.from_batches(batches, schema=schema)


def _array(connection: Connection, column: Sequence[object], field: pa.Field[Any]) -> pa.Array:
    try:
        return pa.array(column, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        expected = "text" if field.type == pa.string() else "64-bit integers"
        raise LakeError(
            f"The catalog {place_of(connection.engine.url)} has values in a column {field.name} that are not "
            f"{expected}: {error}. {RESTORE}"
        ) from error
