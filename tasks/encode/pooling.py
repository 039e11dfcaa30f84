"""Pooling: from token vectors to word vectors and sentence vectors. NumPy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Pooling
from polyseme.tasks.arrays import Floats, Ints

if TYPE_CHECKING:
    from polyseme.tasks.model.encoded import Encoded

Halves = npt.NDArray[np.float16]
_ALL = slice(None)
_ROWS_AT_ONCE = 8192
"""A float32 copy of all words of a chunk would be its largest array."""


def segment_sums(rows: Floats, starts: Ints, stops: Ints) -> Floats:
    """Return `(segments, hidden)`: the sum of `rows[start:stop]` of disjoint segments; zeros for an empty one."""
    sums = np.zeros((len(starts), rows.shape[1]), dtype=np.float32)
    filled = np.flatnonzero(stops > starts)
    if len(filled):
        # In the order of the rows, so that only the last stop can be after the last row, which reduceat forbids.
        filled = filled[np.argsort(starts[filled])]
        # reduceat sums from one index to the next, so every second result is a segment.
        edges = np.stack([starts[filled], stops[filled]], axis=1).ravel()
        ends_at_last_row = edges[-1] == len(rows)
        sums[filled] = np.add.reduceat(rows, edges[:-1] if ends_at_last_row else edges, axis=0)[::2]
    return sums


def word_vectors(tokens: Floats, starts: Ints, stops: Ints) -> Halves:
    """Return `(words, hidden)` float16: word `i` is the mean of the tokens `starts[i]:stops[i]`, at least one."""
    vectors = np.empty((len(starts), tokens.shape[1]), dtype=np.float16)
    for row in range(0, len(starts), _ROWS_AT_ONCE):
        first, last = starts[row : row + _ROWS_AT_ONCE], stops[row : row + _ROWS_AT_ONCE]
        means = tokens[first]
        several = np.flatnonzero(last - first > 1)
        counts = (last - first)[several, None].astype(np.float32)
        means[several] = segment_sums(tokens, first[several], last[several]) / counts
        vectors[row : row + _ROWS_AT_ONCE] = means
    return vectors


def sentence_vectors(encoded: Encoded, sentence_ptr: Ints, pooling: Pooling, chosen: Ints | slice = _ALL) -> Floats:
    """Return `(sentences, hidden)` float32, of the `chosen` sentences only if these are given.

    `mean` is the mean over the sentence's tokens and, if it has windows of its own, their `[CLS]` and `[SEP]`, as mean
    pooling in sentence-transformers. `cls` is the `[CLS]` vector, which only a sentence with windows of its own has.
    All else the encoder has pooled by row.
    """
    if encoded.pooled is not None:
        return encoded.pooled[chosen]
    if pooling == "cls":
        return encoded.first[chosen]
    starts, stops = sentence_ptr[:-1][chosen], sentence_ptr[1:][chosen]
    counts = (stops - starts + 2 * encoded.alone[chosen]).astype(np.float32)
    special = encoded.first[chosen], encoded.final[chosen]
    return (segment_sums(encoded.tokens, starts, stops) + special[0] + special[1]) / counts[:, None]
