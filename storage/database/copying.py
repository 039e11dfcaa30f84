"""Copying: all rows of one catalog into another, whichever databases they are in.

Works inside transactions that it is given, so that the copy is one snapshot of its source.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select, text

from polyseme.storage.database import meta
from polyseme.storage.database.schema import metadata

_ROWS = 10_000


def replace_rows(source: Connection, target: Connection) -> None:
    """Give `target` the rows of `source` and no others. Its counters never go back.

    A published file, and writers that began before, would otherwise take what is new for what they know.
    """
    version, ordinal = meta.counters(target)
    for table in reversed(metadata.sorted_tables):
        target.execute(delete(table))
    for table in metadata.sorted_tables:
        stored = source.execution_options(stream_results=True).execute(select(table))
        for rows in stored.mappings().partitions(_ROWS):
            target.execute(insert(table), [dict(row) for row in rows])
    meta.raise_counters(target, at_least=(version, ordinal))
    if target.dialect.name == "postgresql":
        _move_sequences(target)


def _move_sequences(target: Connection) -> None:
    """Let PostgreSQL number new rows after those that came with a number."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            if column is table.autoincrement_column:
                most = target.scalar(select(func.max(column))) or 0
                move = text("SELECT setval(pg_get_serial_sequence(:table, :column), :next, false)")
                target.execute(move, {"table": table.name, "column": column.name, "next": most + 1})
