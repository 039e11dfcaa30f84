"""Columns that DuckDB passes to a function and takes from it, as Python values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa

Column: TypeAlias = pa.ChunkedArray


def rows_of(*columns: Column) -> list[Any]:
    """Return the columns' rows as tuples; None for a row with a NULL in it."""
    return [None if None in row else row for row in zip(*(c.to_pylist() for c in columns), strict=True)]


def structs(rows: Sequence[Sequence[object] | None], fields: dict[str, pa.DataType]) -> pa.Array:
    """Return lists of records as Arrow; the records' attributes are the fields."""
    plain = [row and [{name: getattr(record, name) for name in fields} for record in row] for row in rows]
    return pa.array(plain, pa.list_(pa.struct(list(fields.items()))))
