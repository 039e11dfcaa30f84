"""The space in which senses are looked for: a word's vectors and those of its sentences without what they share.

Most of each vector is common to all occurrences of a word, so the mean is subtracted. What is left keeps its lengths:
the mean is near the most frequent sense, whose occurrences would scatter in all directions at length 1. The sentence
says what the text is about, which tells many senses apart. The first `DIMENSIONS` principal components of both, side by
side, are kept: the others are mostly noise, in which distances drown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.tasks.arrays import Floats, Ints, unit

DIMENSIONS = 10
_FITTED_MOST = 1000
"""The most occurrences to find the components and groups with: silhouettes take quadratic time."""


@dataclass(frozen=True, slots=True)
class Space:
    """The places of all occurrences, `(occurrences, up to DIMENSIONS)`, and the rows to fit groups to."""

    places: Floats
    fitted: Ints


def centred(vectors: Floats) -> Floats:
    """Scale to length 1, subtract the mean, scale again; equal vectors become zeros."""
    rows = unit(vectors)
    # Of equal vectors only rounding errors are left, which must not be scaled up.
    return unit(rows - rows.mean(axis=0), least=1e-4) if len(rows) else rows


def sense_space(words: Floats, sentences: Floats | None = None) -> Space:
    """Place word vectors, and sentence vectors `(occurrences, width)` beside them, in their common space."""
    rows = _around_mean(words)
    if sentences is not None:
        rows = np.hstack([rows, _around_mean(sentences)])
    fitted = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), _FITTED_MOST)).astype(np.int64))
    # In an order of their own, so that neither components nor starts depend on the order of the occurrences.
    fitted = fitted[np.lexsort(words[fitted, :4].T)]
    mean = rows[fitted].mean(axis=0)
    places: Floats = ((rows - mean) @ principal_axes(rows[fitted] - mean, DIMENSIONS).T).astype(np.float32)
    return Space(places, fitted)


def principal_axes(rows: Floats, most: int) -> Floats:
    """Return `(up to most, width)`: the first principal axes of rows whose mean is 0, each of length 1.

    From the products of the columns, or of the rows if these are fewer, which takes a fraction of the time of a whole
    singular value decomposition. Axes along which nothing varies are left out.
    """
    from scipy.linalg import eigh

    exact = rows.astype(np.float64)
    by_rows = len(exact) < exact.shape[1]
    products = exact @ exact.T if by_rows else exact.T @ exact
    count = len(products)
    sizes, found = eigh(products, subset_by_index=[max(0, count - most), count - 1])
    found = found[:, sizes > 1e-12 * max(sizes[-1], 1e-12)][:, ::-1]
    axes: Floats = unit((found.T @ exact if by_rows else found.T).astype(np.float32))
    return axes


def _around_mean(vectors: Floats) -> Floats:
    """Scale to length 1, subtract the mean, scale all by one number so that their mean square is 1."""
    rows = unit(vectors)
    rows = rows - rows.mean(axis=0)
    length = np.sqrt((rows**2).sum(axis=1).mean())
    # Of equal vectors, as of one sentence, only rounding errors are left.
    scaled: Floats = rows / length if length > 1e-4 else np.zeros_like(rows)
    return scaled
