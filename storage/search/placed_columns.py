"""Columns of a few rows of a lake, read from their parts by place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.lake import Lake
from polyseme.storage.parquet.row_columns import columns_of_rows
from polyseme.storage.search.pieces import reading_parts


class Place(NamedTuple):
    """A part of a lake in a folder, and a row of it."""

    part: str
    row: int


def columns_at(lake: Lake, places: Sequence[Place], names: list[str], check: Callable[[], None]) -> pa.Table:
    """Return columns of the rows at some places, one at least, in their order.

    `check` is called before each row group, and raises to stop. Raises PartError.
    """
    of_part: defaultdict[str, list[int]] = defaultdict(list)
    for at, place in enumerate(places):
        of_part[place.part].append(at)
    tables: list[pa.Table] = []
    with reading_parts():
        for part, mine in of_part.items():
            with lake.files.fetched(part) as file, pq.ParquetFile(file) as opened:
                numbers = np.array([places[at].row for at in mine], np.int64)
                tables.append(columns_of_rows(opened, numbers, names, check))
        order = np.argsort([at for mine in of_part.values() for at in mine])
        return pa.concat_tables(tables).take(pa.array(order))
