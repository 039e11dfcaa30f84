"""Agreement of two encodings on the same sentences: the same neighbours, the same order of similarities.

Vectors of different encodings cannot be compared with each other, but what each says of pairs can (representational
similarity analysis: Kriegeskorte, Mur & Bandettini 2008). Knows vectors, no texts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, unit


def neighbour_overlap(first: Floats, second: Floats, *, k: int = 10) -> float:
    """Return the mean share of the `k` nearest other rows that both `(rows, width)` have in common; NaN for too few."""
    rows = len(first)
    if rows <= k:
        return float("nan")
    near = [_nearest(vectors, k) for vectors in (first, second)]
    common = [len(np.intersect1d(a, b)) for a, b in zip(*near, strict=True)]
    return float(np.mean(common) / k)


def similarity_correlation(first: Floats, second: Floats) -> float:
    """Return Spearman's correlation of the cosines of all pairs of rows; NaN for fewer than three rows."""
    pairs = np.triu_indices(len(first), 1)
    if len(pairs[0]) < 3:
        return float("nan")
    ranks = [_ranks((unit(vectors) @ unit(vectors).T)[pairs]) for vectors in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _nearest(vectors: Floats, k: int) -> npt.NDArray[np.intp]:
    scores = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _ranks(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the rank of each value, of equal ones the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks
