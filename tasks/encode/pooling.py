"""Pooling: token vectors to word vectors and sentence vectors. Plain numpy on float32 rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Pooling
from polyseme.tasks.arrays import Floats, Ints

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoded

Halves = npt.NDArray[np.float16]
_ROWS_AT_ONCE = 8192


def segment_sums(rows: Floats, starts: Ints, stops: Ints) -> Floats:
    """Return `(segments, hidden)`: the sum of `rows[start:stop]` of disjoint segments; zeros for an empty one."""
    sums = np.zeros((len(starts), rows.shape[1]), dtype=np.float32)
    filled = np.flatnonzero(stops > starts)
    if len(filled):
        # In the order of the rows: only then can no stop but the last lie behind the last row, which reduceat forbids.
        filled = filled[np.argsort(starts[filled])]
        # reduceat sums from one index to the next, so every second result is a real segment.
        edges = np.stack([starts[filled], stops[filled]], axis=1).ravel()
        ends_at_last_row = edges[-1] == len(rows)
        sums[filled] = np.add.reduceat(rows, edges[:-1] if ends_at_last_row else edges, axis=0)[::2]
    return sums


def word_vectors(tokens: Floats, starts: Ints, stops: Ints) -> Halves:
    """Return `(words, hidden)` float16: each word is the mean of its tokens `starts:stops`."""
    vectors = np.empty((len(starts), tokens.shape[1]), dtype=np.float16)
    # Some thousand rows at a time: a float32 copy of a whole chunk's words would be its largest array.
    for row in range(0, len(starts), _ROWS_AT_ONCE):
        first, last = starts[row : row + _ROWS_AT_ONCE], stops[row : row + _ROWS_AT_ONCE]
        means = tokens[first]
        several = np.flatnonzero(last - first > 1)
        counts = (last - first)[several, None].astype(np.float32)
        means[several] = segment_sums(tokens, first[several], last[several]) / counts
        vectors[row : row + _ROWS_AT_ONCE] = means
    return vectors


def sentence_vectors(encoded: Encoded, sentence_ptr: Ints, pooling: Pooling) -> Floats:
    """Return `(sentences, hidden)` float32.

    `mean` is the mean over the sentence's tokens and, where it had windows of its own, their `[CLS]` and
    `[SEP]`: what sentence-transformers calls mean pooling. `cls` is the `[CLS]` vector alone, which only a
    sentence with windows of its own has.
    """
    if pooling == "cls":
        return encoded.first
    starts, stops = sentence_ptr[:-1], sentence_ptr[1:]
    counts = (stops - starts + 2 * encoded.alone).astype(np.float32)
    sums = segment_sums(encoded.tokens, starts, stops) if encoded.sums is None else encoded.sums
    return (sums + encoded.first + encoded.final) / counts[:, None]
