"""FAISS: a folder with `index.faiss`, a flat index of inner products, and `rows.parquet`, whose row n is its id n.

Vectors have length 1 there, so that an inner product is a cosine; one of zeros stays so. Written as a whole at every
change. FAISS keeps a flat index in memory: it takes that of the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.tasks.exports.folders import ExportFolder, local_path
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.row_file import RowFile
from polyseme.tasks.exports.source import VECTOR, States
from polyseme.tasks.exports.targets import Change, needs, numbers_of

INDEX = "index.faiss"


@contextmanager
def opened(out: str) -> Iterator[FaissIndex]:
    """Open the folder `out` as a target. Raises UsageError if FAISS is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise needs("FAISS", "faiss", error) from error
    folder = ExportFolder(local_path(out))
    with folder.locked():
        yield FaissIndex(folder, faiss)


class FaissIndex:
    """A folder with an index and its rows."""

    incremental = False

    def __init__(self, folder: ExportFolder, faiss: Any) -> None:
        self._folder, self._faiss = folder, faiss

    def __str__(self) -> str:
        return str(self._folder)

    def mark(self) -> Mark | None:
        return self._folder.mark()

    def states(self) -> States:
        return {}

    def write(self, change: Change, mark: Mark) -> None:
        with self._folder.replaced(mark) as folder:
            index = self._faiss.IndexFlatIP(change.schema.field(VECTOR).type.list_size)
            with RowFile(folder, change.schema) as rows:
                for batch in change.rows:
                    index.add(np.ascontiguousarray(unit_rows(numbers_of(batch).astype(np.float32, copy=False))))
                    rows.write(batch)
            self._faiss.write_index(index, str(folder / INDEX))

    def remember(self, mark: Mark) -> None:
        self._folder.remember(mark)

    def size(self) -> int:
        return self._folder.size()
