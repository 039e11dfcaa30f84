"""Order: whether the sentences of a document stand in an order at all, by the vectors of its neighbours.

In a text, neighbours resemble each other more than any two of its sentences do. The score is a permutation test, so it
needs no other document and no threshold for an encoder. It cannot tell a text from the same text read backwards.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, unit

Doubles = npt.NDArray[np.float64]

LEAST = 4
"""Sentences below this give no score."""


def order_score(vectors: Floats) -> float:
    """Return the mean cosine of neighbours in `(sentences, width)`, in standard deviations above a random order.

    Over all orders of the same sentences the mean is 0 and the deviation 1 (the moments are exact: Mantel 1967). NaN
    below LEAST sentences or if every order has the same mean.
    """
    count = len(vectors)
    if count < LEAST:
        return float("nan")
    scaled = unit(np.asarray(vectors, np.float64))
    near = float(np.einsum("ij,ij->", scaled[1:], scaled[:-1]))
    mean, variance = _moments(scaled)
    return (near - mean) / float(np.sqrt(variance)) if variance > 1e-9 else float("nan")


def _moments(scaled: Doubles) -> tuple[float, float]:
    """Return mean and variance, over all orders, of the sum of the cosines of neighbours.

    Two steps of an order are the same one, share a sentence, or share none; each kind has its mean product of cosines.
    """
    count, width = scaled.shape
    gram = scaled @ scaled.T if count <= width else scaled.T @ scaled  # the smaller; their squares have the same sum
    lengths = np.einsum("ij,ij->i", scaled, scaled)
    rows = scaled @ scaled.sum(axis=0) - lengths
    total, rows_squared = float(rows.sum()), float(rows @ rows)
    squares = float(np.square(gram).sum()) - float(lengths @ lengths)
    pairs, steps = count * (count - 1), count - 1
    same = squares / pairs
    sharing = (rows_squared - squares) / (pairs * (count - 2))
    apart = (total * total - 4 * rows_squared + 2 * squares) / (pairs * (count - 2) * (count - 3))
    mean = steps * total / pairs
    second = steps * same + 2 * (count - 2) * sharing + (steps * steps - steps - 2 * (count - 2)) * apart
    return mean, second - mean * mean
