"""Cells: every vector is in the one whose direction is nearest, and the same vectors give the same cells."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.search import cells as module
from polyseme.storage.search.cells import fitted_cells, nearest_cell
from polyseme.storage.search.unit_vectors import Floats, unit_rows

WIDTH = 128


def drawn(rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def around(middles: int, rows: int) -> Floats:
    """Return vectors around some directions, in turns."""
    return unit_rows(drawn(middles))[np.arange(rows) % middles] + 0.01 * drawn(rows, seed=1)


def test_vectors_around_a_few_directions_are_in_cells_of_their_own() -> None:
    vectors, of = around(5, 3000), np.arange(3000) % 5
    cell = nearest_cell(vectors, fitted_cells(vectors))
    assert all(len(set(of[cell == number].tolist())) == 1 for number in set(cell.tolist()))


def test_they_are_the_same_for_the_same_vectors_and_of_length_1() -> None:
    cells = fitted_cells(around(40, 2000))
    assert np.array_equal(cells, fitted_cells(around(40, 2000)))
    assert np.allclose(np.linalg.norm(cells, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("rows", "count"), [(50, 50), (70, 64), (2000, 64), (3200, 100), (6400, 128)])
def test_each_has_vectors_enough_and_there_are_not_too_many(
    rows: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CELLS", 128)
    assert len(fitted_cells(around(40, rows))) == count


def test_vectors_in_all_directions_are_not_divided() -> None:
    cells = fitted_cells(drawn(5000))
    assert cells.shape == (0, WIDTH)
    assert nearest_cell(drawn(3), cells).tolist() == [0, 0, 0]


def test_few_vectors_or_none_and_those_without_a_direction_have_a_cell_too() -> None:
    for rows in (0, 1, 7):
        cells = fitted_cells(drawn(rows))
        assert len(cells) == rows
        assert nearest_cell(np.zeros((3, WIDTH), np.float32), cells).tolist() == [0, 0, 0]
    broken = np.zeros((4, WIDTH), np.float32)
    broken[1] = np.nan
    assert np.isfinite(fitted_cells(broken)).all()
