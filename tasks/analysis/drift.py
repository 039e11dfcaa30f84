"""Drift: how differently a word is used in two corpora, and how varied its use is in one.

Average pairwise and prototype distance after Kutuzov and Giulianelli (2020). Cosine distances, 0 for equal and 2 for
opposite vectors. Knows no words, only vectors.
"""

from __future__ import annotations

import numpy as np

from polyseme.tasks.arrays import Floats, unit


def pairwise_distance(first: Floats, second: Floats) -> float:
    """Return the mean distance between a vector of each group, both `(occurrences, width)`; NaN if one is empty."""
    if not len(first) or not len(second):
        return float("nan")
    one, other = (unit(vectors.astype(np.float64)).mean(axis=0) for vectors in (first, second))
    return float(1 - one @ other)


def prototype_distance(first: Floats, second: Floats) -> float:
    """Return the distance between the means of the groups, both `(occurrences, width)`; NaN if one is empty."""
    if not len(first) or not len(second):
        return float("nan")
    one, other = unit(np.stack([vectors.mean(axis=0, dtype=np.float64) for vectors in (first, second)]))
    return float(1 - one @ other)


def spread(vectors: Floats) -> float:
    """Return the mean distance between two different rows of `(occurrences, width)`; NaN for fewer than two."""
    n = len(vectors)
    if n < 2:
        return float("nan")
    total = unit(vectors.astype(np.float64)).sum(axis=0)
    return float(1 - (total @ total - n) / (n * (n - 1)))
