"""Rows at length 1: the direction stays, a row of zeros stays, no warning and no NaN."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.tasks.arrays import unit


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_keep_their_direction_and_type_at_length_one(dtype: type[np.floating]) -> None:
    rows = np.random.default_rng(0).standard_normal((9, 5)).astype(dtype)
    found = unit(rows)
    assert found.dtype == dtype
    np.testing.assert_allclose((found * found).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found * np.linalg.norm(rows, axis=1, keepdims=True), rows, rtol=1e-5)


def test_a_row_of_zeros_stays_zeros() -> None:
    assert unit(np.array([[0, 0], [3, 4]], np.float32)).tolist() == [[0, 0], [np.float32(0.6), np.float32(0.8)]]
    assert unit(np.empty((0, 3), np.float32)).shape == (0, 3)


def test_a_row_no_longer_than_the_least_becomes_zeros() -> None:
    rows = np.array([[1e-4, 0], [2e-4, 0], [1e-9, 0]])
    assert unit(rows, least=1e-4).tolist() == [[0, 0], [1, 0], [0, 0]]
    assert unit(rows).tolist() == [[1, 0], [1, 0], [1, 0]]
