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
from polyseme.tasks.model.devices import to_device
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


class SentencePooling:
    """Which rows of a batch make up the vector of each sentence, and with which weight.

    The definition is `pooling.sentence_vectors`'s: with `mean` a sentence has its tokens and, if it has windows of its
    own, their `[CLS]` and closing `[SEP]`, averaged over these windows; with `cls` the `[CLS]` alone.
    """

    def __init__(self, windows: Windows, sentence_ptr: Ints, pooling: Pooling) -> None:
        sentences = len(sentence_ptr) - 1
        self._windows, self._ptr, self._pooling = windows, sentence_ptr, pooling
        self._own = np.bincount(windows.owner[windows.owner >= 0], minlength=sentences)
        tokens = np.maximum(np.diff(sentence_ptr) + 2 * (self._own > 0), 1)
        self.divisors: Floats = (tokens if pooling == "mean" else np.ones(sentences)).astype(np.float32)
        """`(sentences,)`: what to divide the weighted sums by, at least 1: without windows a sum is 0."""

    def segments(self, numbers: Ints, source: Ints) -> Segments:
        """Return the segments of a batch of the windows `numbers`; `source` is the token position of each row."""
        windows = self._windows
        owner, lengths = windows.owner[numbers], windows.lengths[numbers]
        stops = np.cumsum(lengths)
        own = np.flatnonzero(owner >= 0)
        first, last = (stops - lengths)[own], (stops - 1)[own]
        if self._pooling == "mean":
            taken = windows.takes(numbers, source)
            sentence = np.where(taken, np.searchsorted(self._ptr, source, side="right") - 1, -1)
            special, of = np.concatenate([first, last]), np.concatenate([owner[own], owner[own]])
        else:
            sentence, special, of = np.full(len(source), -1, np.int64), first, owner[own]
        weights = np.ones(len(source), np.float32)
        sentence[special], weights[special] = of, 1 / self._own[of]
        starts = np.append(0, np.flatnonzero(np.diff(sentence)) + 1)
        return Segments(sentence[starts], np.diff(np.append(starts, len(sentence))), weights)


def sums(states: Tensor, segments: Segments) -> tuple[Ints, Tensor]:
    """Return the sentence and the weighted sum, float32 `(segments, hidden)`, of every segment of a sentence."""
    kept = np.flatnonzero(segments.sentence >= 0)
    weighted = states.float() * to_device(segments.weights, states.device)[:, None]
    # Adding by index has no fixed order on a GPU; here one thread per column sums each segment.
    totals = torch.segment_reduce(
        weighted, "sum", lengths=to_device(segments.lengths, states.device), axis=0, unsafe=True
    )
    return segments.sentence[kept], totals.index_select(0, to_device(kept, states.device))
