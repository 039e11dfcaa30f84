"""NumPy: a folder with `vectors.npy`, one matrix that can be memory-mapped, and `rows.parquet` in the same order.

Written as a whole at every change, one batch in memory. NEP 1 and `numpy.lib.format` describe the file.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO

import numpy as np

from polyseme.tasks.exports.folder_target import FolderTarget, opened_folder
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.row_file import ROWS, RowFile
from polyseme.tasks.exports.source import VECTOR
from polyseme.tasks.exports.targets import Change, numbers_of

MATRIX = "vectors.npy"


def opened(out: str) -> AbstractContextManager[NpyMatrix]:
    """Open the folder `out` as a target."""
    return opened_folder(out, NpyMatrix)


class NpyMatrix(FolderTarget):
    """A folder with a matrix and its rows."""

    files = (MATRIX, ROWS)

    def write(self, change: Change, mark: Mark) -> None:
        kind = np.dtype(change.schema.field(VECTOR).type.value_type.to_pandas_dtype())
        written, width = 0, change.schema.field(VECTOR).type.list_size
        with (
            self._folder.replaced(mark) as folder,
            (folder / MATRIX).open("wb") as file,
            RowFile(folder, change.schema) as rows,
        ):
            _write_header(file, (0, width), kind)
            for batch in change.rows:
                file.write(np.ascontiguousarray(numbers_of(batch)).data)
                rows.write(batch)
                written += batch.num_rows
            _write_header(file, (written, width), kind)


def _write_header(file: BinaryIO, shape: tuple[int, int], kind: np.dtype[np.floating]) -> None:
    """Write the header at the file's beginning: NumPy pads it, so that its length is the same for any count of rows."""
    file.seek(0)
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
