"""Stored vectors of a few rows of a Parquet file, read by their position in it.

A fixed-size list of float16 that is PLAIN and uncompressed has all its values one after another at the end of each
page, so that a row is a range of bytes. A row group in any other layout is decoded by Arrow as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.parquet.page_headers import ColumnChunk, pages

Values = npt.NDArray[Any]
RowNumbers = npt.NDArray[np.int64]

_PLAIN = 0
_READ_WHOLE = 16
"""A page is read as a whole if more than one in so many of its rows is wanted."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that lie one after another in the file: the first of them, how many, and where in bytes."""

    first: int
    rows: int
    at: int


class VectorColumn:
    """The column `name` of an open Parquet file, `width` values of `dtype` a row. Not thread-safe."""

    def __init__(
        self, file: pq.ParquetFile, raw: BinaryIO, name: str, width: int, dtype: npt.DTypeLike = np.float16
    ) -> None:
        self._file, self._raw, self._name, self._width = file, raw, name, width
        self._dtype = np.dtype(dtype)
        rows = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self._ends = np.cumsum(np.array(rows, np.int64))
        self._runs: dict[int, list[Run] | Values] = {}

    def ranges(self) -> list[Run]:
        """Return where rows lie as plain ranges of bytes, numbered within the file: all rows, or only some, or none."""
        found: list[Run] = []
        for group, end in enumerate(self._ends.tolist()):
            first = end - self._file.metadata.row_group(group).num_rows
            found += [Run(first + run.first, run.rows, run.at) for run in self._layout(group) or ()]
        return found

    def rows(self, numbers: RowNumbers) -> Values:
        """Return `(len(numbers), width)`: the vectors of these rows of the file, in the order given.

        Raises OSError or pa.ArrowException for a damaged file.
        """
        found = np.empty((len(numbers), self._width), self._dtype)
        groups = np.searchsorted(self._ends, numbers, side="right")
        for group in np.unique(groups).tolist():
            here = np.flatnonzero(groups == group)
            first = int(self._ends[group - 1]) if group else 0
            self._read(group, numbers[here] - first, here, found)
        return found

    def _read(self, group: int, rows: RowNumbers, places: RowNumbers, into: Values) -> None:
        if group not in self._runs:
            self._runs[group] = self._layout(group) or self._decoded(group)
        layout = self._runs[group]
        if not isinstance(layout, list):
            into[places] = layout[rows]
            return
        owner = np.searchsorted(np.array([run.first for run in layout]), rows, side="right") - 1
        for number in np.unique(owner).tolist():
            run, mine = layout[number], np.flatnonzero(owner == number)
            inside = rows[mine] - run.first
            if len(mine) * _READ_WHOLE > run.rows:
                values = self._values(run.at, run.rows)
                every = len(inside) == run.rows and bool((np.diff(inside) == 1).all())
                into[places[mine]] = values if every else values[inside]
            else:
                for place, row in zip(places[mine].tolist(), inside.tolist(), strict=True):
                    into[place] = self._values(run.at + row * self._width * self._dtype.itemsize, 1)[0]

    def _values(self, at: int, rows: int) -> Values:
        self._raw.seek(at)
        size = rows * self._width * self._dtype.itemsize
        data = self._raw.read(size)
        if len(data) != size:
            raise OSError("the file ends within its vectors")
        return np.frombuffer(data, self._dtype.newbyteorder("<")).reshape(rows, self._width)

    def _layout(self, group: int) -> list[Run] | None:
        """Return where the rows of a row group lie; None if they are not plain ranges of bytes."""
        described = self._file.metadata.row_group(group)
        column = next(c for i in range(described.num_columns) if _is_of(c := described.column(i), self._name))
        if column.compression != "UNCOMPRESSED" or column.physical_type != "FIXED_LEN_BYTE_ARRAY":
            return None
        runs: list[Run] = []
        values = 0
        for page in pages(self._raw, ColumnChunk(column.num_values, column.data_page_offset)):
            size = page.values * self._dtype.itemsize
            plain = not page.is_dictionary and page.encoding == _PLAIN and page.bytes == page.compressed_bytes
            if not plain or size > page.bytes or values % self._width or page.values % self._width:
                return None
            rows = page.values // self._width
            runs.append(Run(values // self._width, rows, page.at + page.bytes - size))
            values += page.values
        return runs if values == described.num_rows * self._width else None

    def _decoded(self, group: int) -> Values:
        column = self._file.read_row_group(group, columns=[self._name])[self._name].combine_chunks()
        values: Any = column.flatten() if isinstance(column, pa.Array) else column.chunk(0).flatten()
        return np.asarray(values.to_numpy(zero_copy_only=False), self._dtype).reshape(-1, self._width)


def _is_of(column: Any, name: str) -> bool:
    return str(column.path_in_schema).split(".", 1)[0] == name
