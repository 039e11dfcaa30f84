"""Vectors of some rows of a part, as they are read whatever the tier that stores them."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow.parquet as pq

from polyseme.storage.parquet.row_columns import columns_of_rows
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
        scales = None
        if self.layout.tier == "int8":
            scales = columns_of_rows(self._file, numbers, [SCALE])[SCALE].to_numpy()
        return self.layout.unpack(self._codes.rows(numbers), scales)
