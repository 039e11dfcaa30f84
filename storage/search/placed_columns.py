"""Columns of a few rows, read from their parts by place: of each, the row group that it is in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.lake import Lake
from polyseme.storage.search.pieces import reading_parts


class Place(NamedTuple):
    """A part of a lake in a folder, and a row of it."""

    part: str
    row: int


def columns_at(lake: Lake, places: Sequence[Place], names: list[str], check: Callable[[], None]) -> pa.Table:
    """Return columns of the rows at some places, in their order.

    `check` is called before each row group, and raises to stop. Raises PartError.
    """
    of_part: defaultdict[str, list[int]] = defaultdict(list)
    for at, place in enumerate(places):
        of_part[place.part].append(at)
    tables: list[pa.Table] = []
    order: list[int] = []
    for part, mine in of_part.items():
        with reading_parts(), lake.files.fetched(part) as file, pq.ParquetFile(file) as opened:
            groups = [opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)]
            ends = np.cumsum(groups)
            group_of = np.searchsorted(ends, [places[at].row for at in mine], side="right")
            for group in np.unique(group_of).tolist():
                check()
                here = [at for at, its in zip(mine, group_of.tolist(), strict=True) if its == group]
                first = int(ends[group]) - groups[group]
                rows = pa.array([places[at].row - first for at in here])
                tables.append(opened.read_row_group(group, columns=names).take(rows))
                order += here
    return pa.concat_tables(tables).take(pa.array(np.argsort(order)))
