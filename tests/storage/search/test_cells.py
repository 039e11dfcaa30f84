"""Cells: every vector is in the one whose direction is nearest, and the same vectors give the same cells."""

from __future__ import annotations

import numpy as np

from polyseme.storage.search.cells import CELLS, fitted_cells, nearest_cell
from polyseme.storage.search.unit_vectors import Floats, unit_rows


def drawn(rows: int, width: int = 32, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def test_vectors_around_a_few_directions_are_in_cells_of_their_own() -> None:
    middles = unit_rows(drawn(5))
    of = np.arange(3000) % 5
    vectors = middles[of] + 0.02 * drawn(3000, seed=1)
    cell = nearest_cell(vectors, fitted_cells(vectors))
    assert all(len(set(of[cell == number].tolist())) == 1 for number in set(cell.tolist()))


def test_they_are_the_same_for_the_same_vectors_and_of_length_1() -> None:
    cells = fitted_cells(drawn(2000))
    assert np.array_equal(cells, fitted_cells(drawn(2000)))
    assert len(cells) == CELLS
    assert np.allclose(np.linalg.norm(cells, axis=1), 1, atol=1e-5)


def test_few_vectors_or_none_and_those_without_a_direction_have_a_cell_too() -> None:
    for rows in (0, 1, 7):
        cells = fitted_cells(drawn(rows))
        assert len(cells) == rows
        assert nearest_cell(np.zeros((3, 32), np.float32), cells).tolist() == [0, 0, 0]
    broken = np.zeros((4, 32), np.float32)
    broken[1] = np.nan
    assert np.isfinite(fitted_cells(broken)).all()
