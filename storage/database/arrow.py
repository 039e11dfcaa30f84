"""Rows of the catalog as Arrow tables."""

from __future__ import annotations

import pyarrow as pa
from sqlalchemy import Connection, Select, Text

_ROWS_A_BATCH = 10_000


def read_table(connection: Connection, query: Select[tuple[object, ...]]) -> pa.Table:
    """Return a query's rows: text columns as strings, all others as 64-bit integers.

    Read a batch at a time, so that a long table is never in memory as Python objects.
    """
    fields = [pa.field(c.name, pa.string() if isinstance(c.type, Text) else pa.int64()) for c in query.selected_columns]
    schema = pa.schema(fields)
    batches = [
        pa.record_batch(
            [pa.array(column, f.type) for column, f in zip(zip(*rows, strict=True), fields, strict=True)], schema=schema
        )
        for rows in connection.execute(query).partitions(_ROWS_A_BATCH)
    ]
    return pa.Table.from_batches(batches, schema=schema)
