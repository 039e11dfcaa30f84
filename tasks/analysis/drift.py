"""Drift: how differently a word is used in two corpora, and how varied its use is in one.

Cosine distances, 0 for equal and 2 for opposite vectors. Knows vectors, no words. The measures are those of the field:

- APD, average pairwise distance (Giulianelli et al. 2020): `pairwise_distance`.
- PRT, prototype distance (Kutuzov and Giulianelli 2020): `prototype_distance`, 1 - cos of the mean vectors. They give
  the inverted similarity, 1 / cos, which puts words into the same order.
- APD within one corpus (EARLIER and LATER of DURel, Schlechtweg et al. 2018): `spread`. What of APD is above the mean
  of both is `corrected_distance` in `permutation`.
- JSD, the Jensen-Shannon distance, base 2, between shares of senses: `jensen_shannon`. It is the square root of the
  divergence, the graded change of SemEval-2020 Task 1 (Schlechtweg et al. 2020) and of DWUG (Schlechtweg et al. 2021).

Periti and Montanelli (2024) survey such measures, Periti and Tahmasebi (2024) compare these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, unit

Doubles = npt.NDArray[np.float64]


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


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the Jensen-Shannon distance, 0 to 1, between the counts or shares of senses; NaN if one has none."""
    counts = np.array([first, second], np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.all():
        return float("nan")
    shares = counts / totals
    mean = np.broadcast_to(shares.mean(axis=0), shares.shape)
    here = shares > 0
    divergence = float((shares[here] * np.log2(shares[here] / mean[here])).sum()) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))
