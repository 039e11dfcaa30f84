"""Vectors of length 1, whose product is their cosine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_ROWS_A_BLOCK = 1024
"""Rows that are scaled at once: they stay in a core's cache."""


def unit_rows(vectors: npt.NDArray[Any]) -> Floats:
    """Return vectors `(rows, width)` scaled to length 1; one without a length, or with NaN in it, becomes zeros."""
    unit = np.empty(vectors.shape, np.float32)
    for first in range(0, len(vectors), _ROWS_A_BLOCK):
        block = unit[first : first + _ROWS_A_BLOCK]
        np.copyto(block, vectors[first : first + _ROWS_A_BLOCK], casting="unsafe")
        norms = np.sqrt(np.einsum("ij,ij->i", block, block))
        broken = ~np.isfinite(norms)
        if broken.any():
            block[broken], norms[broken] = 0, 0
        block *= np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]
    return unit


def cosines(unit: Floats, question: Floats) -> Floats:
    """Return the cosines `(rows,)` of vectors of length 1 with one: of equal vectors equal to the last bit.

    A matrix product may sum the same row in another order, depending on where it stands.
    """
    found: Floats = np.einsum("ij,j->i", unit, question)
    return found
