"""Vectors of a query as one NumPy matrix, for scikit-learn, PyTorch and whatever else takes rows of floats.

    matrix = vectors(con.sql("FROM sentences"))

Knows nothing of lakes: any table with a column of float lists of one length does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    import duckdb


def vectors(
    rows: duckdb.DuckDBPyRelation | pa.Table | pa.RecordBatch, column: str = "embedding"
) -> npt.NDArray[np.float32]:
    """Return a column of vectors as `(rows, width)`, float32, in the order of the rows: a copy that may be written to.

    Raises UsageError for a column that is missing, is not a list of floats, or has a NULL or vectors of several widths.
    """
    table = _table(rows)
    if column not in table.column_names:
        raise UsageError(
            f"There is no column {column} among {', '.join(table.column_names)}. Name the one with vectors."
        )
    found = table[column]
    width, row = _width(found, column), 0
    matrix = np.empty((len(found), width), np.float32)
    for chunk in found.chunks:
        matrix[row : row + len(chunk)] = chunk.flatten().to_numpy().reshape(len(chunk), width)
        row += len(chunk)
    return matrix


def _table(rows: duckdb.DuckDBPyRelation | pa.Table | pa.RecordBatch) -> pa.Table:
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    return rows if isinstance(rows, pa.Table) else rows.to_arrow_table()


def _width(found: pa.ChunkedArray, column: str) -> int:
    kind = found.type
    fixed = pa.types.is_fixed_size_list(kind)
    if not (fixed or pa.types.is_list(kind)) or not pa.types.is_floating(kind.value_type):
        raise UsageError(f"Column {column} is of type {kind}, not a list of floats. Name the one with vectors.")
    if found.null_count or any(chunk.flatten().null_count for chunk in found.chunks):
        raise UsageError(f"Column {column} has NULLs. Leave those rows out: WHERE {column} IS NOT NULL.")
    if fixed:
        return int(kind.list_size)
    widths = pc.unique(pc.list_value_length(found)).to_pylist()
    if len(widths) > 1:
        raise UsageError(
            f"Column {column} has vectors of {', '.join(map(str, sorted(widths)))} numbers. Select those of one width."
        )
    return widths[0] if widths else 0
