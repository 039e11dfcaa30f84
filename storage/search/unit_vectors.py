"""Vectors of length 1, whose product is their cosine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def unit_rows(vectors: npt.NDArray[Any]) -> Floats:
    """Return vectors `(rows, width)` scaled to length 1; one without a length, or with NaN in it, becomes zeros."""
    wide = vectors.astype(np.float32, copy=False)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    scales = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    broken = ~np.isfinite(norms[:, 0])
    if broken.any():
        wide = np.where(broken[:, None], np.float32(0), wide)
    unit: Floats = (wide * scales).astype(np.float32, copy=False)
    return unit


def cosines(unit: Floats, question: Floats) -> Floats:
    """Return the cosines `(rows,)` of vectors of length 1 with one: of equal vectors equal to the last bit.

    A matrix product may sum the same row in another order, depending on where it stands.
    """
    found: Floats = np.einsum("ij,j->i", unit, question)
    return found
