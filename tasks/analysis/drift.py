"""Drift: how differently one word is used in two bodies of text, and how varied its use is in one.

Average pairwise and prototype distance after Kutuzov and Giulianelli (2020). Arrays in, numbers out: cosine distances,
0 for equal and 2 for opposite vectors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def pairwise_distance(first: Floats, second: Floats) -> float:
    """Return the mean distance of a vector of `first` to one of `second`, both `(occurrences, width)`; NaN if empty."""
    if not len(first) or not len(second):
        return float("nan")
    return float(1 - _unit(first).mean(axis=0) @ _unit(second).mean(axis=0))


def prototype_distance(first: Floats, second: Floats) -> float:
    """Return the distance between the mean vectors of two groups of occurrences; NaN if one is empty."""
    if not len(first) or not len(second):
        return float("nan")
    one, other = _unit(first.mean(axis=0, dtype=np.float64)[None]), _unit(second.mean(axis=0, dtype=np.float64)[None])
    return float(1 - one[0] @ other[0])


def spread(vectors: Floats) -> float:
    """Return the mean distance between two different occurrences of one word; NaN for fewer than two."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    total = _unit(vectors).sum(axis=0)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    rows = vectors.astype(np.float64)
    unit: npt.NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
