"""Vectors of some rows of a part, as they are read whatever the tier that stores them."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.parquet.vector_column import RowNumbers, Run, VectorColumn
from polyseme.storage.tiers import SCALE, Halves, Layout


class PartVectors:
    """The vectors, `width` dimensions each, of an open part. Not thread-safe.

    Raises KeyError, ValueError, OSError or pa.ArrowException for a damaged file, here and in its method.
    """

    def __init__(self, file: pq.ParquetFile, raw: BinaryIO, width: int) -> None:
        self._file = file
        self.layout = Layout.of_file(file.schema_arrow, width)
        self._codes = VectorColumn(file, raw, "embedding", self.layout.values, self.layout.dtype)

    def ranges(self) -> list[Run]:
        """Return where rows lie as ranges of bytes that are float16 as they are: none in the other tiers."""
        return self._codes.ranges() if self.layout.tier == "float16" else []

    def rows(self, numbers: RowNumbers) -> Halves:
        """Return `(len(numbers), width)`: the vectors of these rows, in the order given."""
        scales = self._scales(numbers) if self.layout.tier == "int8" else None
        return self.layout.unpack(self._codes.rows(numbers), scales)

    def _scales(self, numbers: RowNumbers) -> Halves:
        found, first = np.empty(len(numbers), np.float16), 0
        for group in range(self._file.metadata.num_row_groups):
            last = first + self._file.metadata.row_group(group).num_rows
            here = np.flatnonzero((numbers >= first) & (numbers < last))
            if len(here):
                column = self._file.read_row_group(group, columns=[SCALE])[SCALE]
                found[here] = column.take(pa.array(numbers[here] - first)).to_numpy()
            first = last
        return found
