"""The array types that all rooms share, and rows scaled to length 1. NumPy only, so that a type imports no torch."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Real = TypeVar("Real", bound=np.floating)


def unit(rows: npt.NDArray[Real], *, least: float = 0.0) -> npt.NDArray[Real]:
    """Return the rows of `(rows, width)` scaled to length 1; a row no longer than `least` becomes zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = np.zeros_like(rows)
    np.divide(rows, norms, out=scaled, where=norms > least)
    return scaled
