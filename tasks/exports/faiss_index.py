"""FAISS: a folder with `index.faiss`, a flat index of inner products, and `rows.parquet`, whose row n is its id n.

Vectors have length 1 there, so that an inner product is a cosine; one of zeros stays so. Written as a whole at every
change. FAISS keeps a flat index in memory: it takes that of the matrix.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from polyseme.storage.search.unit_vectors import unit_rows
from polyseme.tasks.exports.folder_target import FolderTarget, opened_folder
from polyseme.tasks.exports.folders import ExportFolder
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.row_file import ROWS, RowFile
from polyseme.tasks.exports.source import VECTOR
from polyseme.tasks.exports.targets import Change, needs, numbers_of

INDEX = "index.faiss"


def opened(out: str) -> AbstractContextManager[FaissIndex]:
    """Open the folder `out` as a target. Raises UsageError if FAISS is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise needs("FAISS", "faiss", error) from error
    return opened_folder(out, lambda folder: FaissIndex(folder, faiss))


class FaissIndex(FolderTarget):
    """A folder with an index and its rows."""

    files = (INDEX, ROWS)

    def __init__(self, folder: ExportFolder, faiss: Any) -> None:
        super().__init__(folder)
        self._faiss = faiss

    def write(self, change: Change, mark: Mark) -> None:
        with self._folder.replaced(mark) as folder:
            index = self._faiss.IndexFlatIP(change.schema.field(VECTOR).type.list_size)
            with RowFile(folder, change.schema) as rows:
                for batch in change.rows:
                    index.add(np.ascontiguousarray(unit_rows(numbers_of(batch).astype(np.float32, copy=False))))
                    rows.write(batch)
            self._faiss.write_index(index, str(folder / INDEX))
