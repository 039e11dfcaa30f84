"""Rows beside a matrix: the keys and texts of its rows in Parquet, in the same order."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.tasks.exports.source import STATE, VECTOR

ROWS = "rows.parquet"
_NOT_HERE = (STATE, VECTOR)
_ROWS_A_GROUP = 65_536


class RowFile:
    """`rows.parquet` in a folder, written batch by batch. Use it as a context manager."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._schema = pa.schema([field for field in schema if field.name not in _NOT_HERE])
        self._writer = pq.ParquetWriter(folder / ROWS, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; their vectors are left out."""
        self._waiting.append(batch.select(self._schema.names))
        if sum(each.num_rows for each in self._waiting) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=2 * _ROWS_A_GROUP)
        self._waiting.clear()
