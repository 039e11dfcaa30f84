"""Cells: vectors that lie in about one direction from the centre of all, by k-means, so that a search looks at few.

The neighbours of a question are in the cells nearest to it, nearly always (`benchmarks/cell_recall.py` measures it).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from polyseme.storage.search.unit_vectors import Floats, unit_rows

CELLS = 512
_FOR_EACH, _LEAST = 32, 64
"""Vectors that there are for each cell, at least, where there are more cells than so many."""
_ROUNDS = 6
_ROWS_A_BLOCK = 4096
"""Rows whose products with all cells are in memory together."""
_SEED = 2024
_NEARER = 2
"""Times that vectors must be nearer to their cell than random ones, to be divided into cells."""

CellNumbers = npt.NDArray[np.uint16]


def fitted_cells(vectors: Floats, check: Callable[[], None] = lambda: None) -> Floats:
    """Return the directions `(cells, width)` of vectors `(rows, width)` less their centre: fewer cells of few rows.

    None, if the vectors are as near to them as random ones are: then neighbours may be in any cell. `check` is called
    often, and raises to stop.
    """
    unit = unit_rows(vectors)
    # RandomState, whose numbers are the same in every version of NumPy.
    count = min(max(len(unit) // _FOR_EACH, _LEAST), CELLS)
    drawn = np.random.RandomState(_SEED).permutation(len(unit))[:count]
    cells = np.unique(unit[drawn], axis=0)  # of two that are equal, rounding would choose
    for _ in range(_ROUNDS):
        sums = np.zeros_like(cells)
        for first in range(0, len(unit), _ROWS_A_BLOCK):
            check()
            block = unit[first : first + _ROWS_A_BLOCK]
            of = nearest_cell(block, cells)
            order = np.argsort(of, kind="stable")
            some, starts = np.unique(of[order], return_index=True)
            sums[some] += np.add.reduceat(block[order], starts, axis=0)
        left = ~sums.any(1)
        sums[left] = cells[left]
        cells = unit_rows(sums)
    if not len(cells):
        return cells
    # The greatest of so many products with a random direction, as it is expected.
    of_random = np.sqrt(2 * np.log(max(len(cells), 2)) / cells.shape[1])
    blocks = (unit[first : first + _ROWS_A_BLOCK] for first in range(0, len(unit), _ROWS_A_BLOCK))
    nearest = np.concatenate([(block @ cells.T).max(1) for block in blocks])
    return cells if nearest.mean() >= _NEARER * of_random else cells[:0]


def nearest_cell(vectors: Floats, cells: Floats) -> CellNumbers:
    """Return the cell of each of some vectors `(rows, width)`, less the centre: 0 if there are none."""
    if not len(cells):
        return np.zeros(len(vectors), np.uint16)
    found: CellNumbers = (vectors @ cells.T).argmax(1).astype(np.uint16)
    return found
