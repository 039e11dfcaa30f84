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
    order = [np.zeros(0, np.int64)]
    with reading_parts():
        for part, mine in of_part.items():
            numbers = np.array([places[at].row for at in mine], np.int64)
            with lake.files.fetched(part) as file, pq.ParquetFile(file) as opened:
                if numbers.max() >= opened.metadata.num_rows:
                    raise ValueError("the part has fewer rows than it had")
                first = 0
                for group in range(opened.metadata.num_row_groups):
                    end = first + opened.metadata.row_group(group).num_rows
                    here = np.flatnonzero((numbers >= first) & (numbers < end))
                    if len(here):
                        check()
                        rows = pa.array(numbers[here] - first)
                        tables.append(opened.read_row_group(group, columns=names).take(rows))
                        order.append(np.array(mine)[here])
                    first = end
        found = pa.concat_tables(tables)
        if found.column_names != names:
            raise ValueError("the part lacks a column")
        return found.take(pa.array(np.argsort(np.concatenate(order))))
