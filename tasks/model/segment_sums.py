"""Rows of a packed batch summed by sentence on the device, so that a GPU copies back sentences and not tokens.

Sums are in float32 and in the order of the rows, whatever else is in the batch. The results of batches are added up on
the host: a sentence may have windows in several. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.model.devices import to_device
from polyseme.tasks.text.windows import Windows


@dataclass(frozen=True, slots=True)
class Segments:
    """The rows of a batch as consecutive segments, each of one sentence.

    `sentence` is `(segments,)`, -1 for rows that no sentence takes; `lengths` is `(segments,)`, in rows.
    """

    sentence: Ints
    lengths: Ints


def segments_of(windows: Windows, numbers: Ints, source: Ints, sentence_ptr: Ints) -> Segments:
    """Return the segments of a batch of the windows `numbers`; `source` is the token position of each row."""
    taken = windows.takes(numbers, source)
    sentence = np.where(taken, np.searchsorted(sentence_ptr, source, side="right") - 1, -1)
    starts = np.append(0, np.flatnonzero(np.diff(sentence)) + 1)
    return Segments(sentence[starts], np.diff(np.append(starts, len(sentence))))


def sums(states: Tensor, segments: Segments) -> tuple[Ints, Tensor]:
    """Return the sentence and the sum, float32 `(segments, hidden)`, of every segment that belongs to a sentence."""
    kept = np.flatnonzero(segments.sentence >= 0)
    # Adding by index has no fixed order on a GPU; here one thread per column sums each segment.
    totals = torch.segment_reduce(
        states.float(), "sum", lengths=to_device(segments.lengths, states.device), axis=0, unsafe=True
    )
    return segments.sentence[kept], totals.index_select(0, to_device(kept, states.device))


class SpecialTokenVectors:
    """The `[CLS]` and closing `[SEP]` vectors of sentences that have windows of their own, averaged over these.

    `first` and `final` are `(sentences, hidden)`, zeros for other sentences.
    """

    def __init__(self, windows: Windows, sentences: int, width: int) -> None:
        self._owner = windows.owner
        self._windows = np.bincount(self._owner[self._owner >= 0], minlength=sentences)
        self.first, self.final = (np.zeros((sentences, width), dtype=np.float32) for _ in range(2))

    @property
    def alone(self) -> npt.NDArray[np.bool_]:
        """`(sentences,)`: True for sentences that have windows of their own."""
        return self._windows > 0

    def add(self, numbers: Ints, first: Floats, final: Floats) -> None:
        """Add the first and the last row of each of the windows `numbers`, both `(windows, hidden)`."""
        owned = np.flatnonzero(self._owner[numbers] >= 0)
        owners = self._owner[numbers[owned]]
        weight = (1.0 / self._windows[owners])[:, None].astype(np.float32)
        add_at(self.first, owners, first[owned] * weight)
        add_at(self.final, owners, final[owned] * weight)


def add_at(totals: Floats, at: Ints, rows: Floats) -> None:
    """Add each row to `totals[at]`. Indices that occur once, as most do, need no `add.at`, which is slow."""
    once = np.bincount(at, minlength=len(totals))[at] == 1
    totals[at[once]] += rows[once]
    np.add.at(totals, at[~once], rows[~once])
