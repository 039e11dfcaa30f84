"""Columns of some rows of an open Parquet file: of each, the row group that it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.parquet.vector_column import RowNumbers


def columns_of_rows(
    file: pq.ParquetFile, numbers: RowNumbers, names: Sequence[str], check: Callable[[], None] = lambda: None
) -> pa.Table:
    """Return the columns of these rows, in the order given.

    `check` is called before each row group, and raises to stop. Raises ValueError for a column or a row that the file
    does not have, OSError or pa.ArrowException for a damaged file.
    """
    if missing := set(names).difference(file.schema_arrow.names):
        raise ValueError(f"the file has no column {min(missing)}")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < file.metadata.num_rows:
        raise ValueError(f"the file has {file.metadata.num_rows} rows, and not the one asked for")
    tables, order, first = list[pa.Table](), [np.zeros(0, np.int64)], 0
    for group in range(file.metadata.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        here = np.flatnonzero((numbers >= first) & (numbers < end))
        if len(here):
            check()
            tables.append(file.read_row_group(group, columns=list(names)).take(pa.array(numbers[here] - first)))
            order.append(here)
        first = end
    if not tables:
        return file.schema_arrow.empty_table().select(list(names))
    found, places = pa.concat_tables(tables), np.concatenate(order)
    return found if (np.diff(places) > 0).all() else found.take(pa.array(np.argsort(places)))
