"""Placed vectors: those of a few rows, read from the parts by their file and row (see `row_places`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.parquet.vector_column import RowNumbers
from polyseme.storage.sql.row_places import PLACED
from polyseme.storage.sql.views import unreadable
from polyseme.storage.tiers import Halves


class PlacedVectors:
    """The vectors of one encoding's live parts, by the file and the row that the views of places name."""

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding) -> None:
        self._lake, self._width = lake, encoding.spec.width
        # The only files that are opened, whatever a query asks for.
        paths = (path for table in PLACED for path in snapshot.parts.get((encoding.encoding_id, table), ()))
        self._parts = {str(lake.part_path(path)): path for path in paths}

    def read(self, files: pa.StringArray, rows: pa.Int64Array, check: Callable[[], None]) -> pa.FixedSizeListArray:
        """Return the vector of each row, float32; null where the file or the row is.

        `check` is called before each file, and raises to stop. Raises UsageError for a file that is no part of the
        encoding and for a row that it does not have, LakeError for a part that cannot be read.
        """
        encoded, there = files.dictionary_encode(), rows.is_valid().to_numpy(zero_copy_only=False)
        numbers = rows.fill_null(0).to_numpy(zero_copy_only=False)
        owner = np.where(there, encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), -1)
        found = np.zeros((len(files), self._width), np.float32)
        for i, file in enumerate(encoded.dictionary.to_pylist()):
            check()
            mine = np.flatnonzero(owner == i)
            found[mine] = self._read(file, numbers[mine])
        values = pa.array(found.reshape(-1), pa.float32())
        return pa.FixedSizeListArray.from_arrays(values, self._width, mask=pa.array(owner < 0))

    def _read(self, file: str, rows: RowNumbers) -> Halves:
        path = self._parts.get(file)
        if path is None:
            raise UsageError("stored_vectors takes the file and the row of a view of places, and reads no other file.")
        try:
            with self._lake.files.fetched(path) as local, pq.ParquetFile(local) as part, local.open("rb") as raw:
                if len(rows) and not 0 <= rows.min() <= rows.max() < part.metadata.num_rows:
                    raise UsageError(f"stored_vectors: the file has rows 0 to {part.metadata.num_rows - 1:,}.")
                return PartVectors(part, raw, self._width).rows(rows)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise unreadable(self._lake, error) from error
