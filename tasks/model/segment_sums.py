"""Rows of a packed batch pooled by sentence on the device, so that a GPU copies back sentences and not tokens.

Sums are in float32 and in the order of the rows, whatever else is in the batch. The results of batches are added up on
the host: a sentence may have windows in several. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polyseme.storage.records import Pooling
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.model.accumulation import add_at
from polyseme.tasks.model.devices import to_device
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.windows import Windows


@dataclass(frozen=True, slots=True)
class Segments:
    """The rows of a batch as consecutive segments, each of one sentence.

    `sentence` is `(segments,)`, -1 for rows that no sentence takes; `lengths` is `(segments,)`, in rows; `weights` is
    float32 `(rows,)`.
    """

    sentence: Ints
    lengths: Ints
    weights: Floats


def needs_rows(pooling: Pooling, frame: Frame) -> bool:
    """Return whether the vector of a sentence needs more than its tokens and the first and last row of its windows."""
    return pooling not in ("mean", "cls") or (pooling == "mean" and (len(frame.before), len(frame.after)) != (1, 1))


class SentencePooling:
    """Which rows of a batch make up the vector of each sentence, and with which weight.

    With `mean` a sentence has its tokens and, if it has windows of its own, their special tokens, averaged over these
    windows: so that the vector is `pooling.sentence_vectors`'s. With `cls` and `last` it has the first or the last row
    of its windows alone. With `max` and `weighted` it has what it has with `mean`; the weight of a row is its place in
    its window.
    """

    def __init__(self, windows: Windows, sentence_ptr: Ints, pooling: Pooling) -> None:
        sentences = len(sentence_ptr) - 1
        self._windows, self._ptr, self.pooling = windows, sentence_ptr, pooling
        self._own = np.bincount(windows.owner[windows.owner >= 0], minlength=sentences)
        tokens = np.maximum(np.diff(sentence_ptr) + windows.frame.single * (self._own > 0), 1)
        self._divisors = (tokens if pooling == "mean" else np.ones(sentences)).astype(np.float32)
        self._totals: Floats | None = None
        self._weights = np.zeros(sentences, np.float32)

    @property
    def divisors(self) -> Floats:
        """`(sentences,)`: what to divide the sums by, at least 1: without windows a sum is 0."""
        return np.maximum(self._weights, 1) if self.pooling == "weighted" else self._divisors

    def segments(self, numbers: Ints, source: Ints) -> Segments:
        """Return the segments of a batch of the windows `numbers`; `source` is the token position of each row."""
        windows = self._windows
        owner, lengths = windows.owner[numbers], windows.lengths[numbers]
        stops = np.cumsum(lengths)
        own = np.flatnonzero(owner >= 0)
        weights = np.ones(len(source), np.float32)
        if self.pooling in ("cls", "last"):
            special = (stops - lengths)[own] if self.pooling == "cls" else (stops - 1)[own]
            sentence, of = np.full(len(source), -1, np.int64), owner[own]
        else:
            taken = windows.takes(numbers, source)
            sentence = np.where(taken, np.searchsorted(self._ptr, source, side="right") - 1, -1)
            owners = np.repeat(owner, lengths)
            special = np.flatnonzero((source < 0) & (owners >= 0))
            of = owners[special]
        sentence[special] = of
        weights[special] = 1 if self.pooling == "max" else 1 / self._own[of]
        if self.pooling == "weighted":
            place = np.arange(1, len(source) + 1) - np.repeat(stops - lengths, lengths)
            weights *= place.astype(np.float32)
        starts = np.append(0, np.flatnonzero(np.diff(sentence)) + 1)
        return Segments(sentence[starts], np.diff(np.append(starts, len(sentence))), weights)

    def add(self, segments: Segments, sentence: Ints, found: Floats) -> None:
        """Add what `pooled` returned for the segments of a batch, in the order of the batches."""
        if self._totals is None:
            start = -np.inf if self.pooling == "max" else 0
            self._totals = np.full((len(self._own), found.shape[1]), start, np.float32)
        if self.pooling == "max":
            np.maximum.at(self._totals, sentence, found)
            return
        add_at(self._totals, sentence, found)
        if self.pooling == "weighted":
            of_row = np.repeat(segments.sentence, segments.lengths)
            kept = of_row >= 0
            self._weights += np.bincount(of_row[kept], segments.weights[kept], len(self._weights)).astype(np.float32)

    def vectors(self, width: int) -> Floats:
        """Return `(sentences, width)`: the pooled vectors, zeros for sentences without windows."""
        if self._totals is None:
            return np.zeros((len(self._own), width), np.float32)
        totals = self._totals
        if self.pooling == "max":
            totals = np.where(np.isinf(totals), np.float32(0), totals)
        return (totals / self.divisors[:, None]).astype(np.float32)


def pooled(states: Tensor, segments: Segments, pooling: Pooling) -> tuple[Ints, Tensor]:
    """Return the sentence and the weighted sum, float32 `(segments, hidden)`, of every segment of a sentence.

    With `max` it is the greatest value instead.
    """
    kept = np.flatnonzero(segments.sentence >= 0)
    rows = states.float()
    if pooling != "max":
        rows = rows * to_device(segments.weights, states.device)[:, None]
    # Adding by index has no fixed order on a GPU; here one thread per column sums each segment.
    totals = torch.segment_reduce(
        rows, "max" if pooling == "max" else "sum", lengths=to_device(segments.lengths, states.device), axis=0,
        unsafe=True,
    )  # fmt: skip
    return segments.sentence[kept], totals.index_select(0, to_device(kept, states.device))
