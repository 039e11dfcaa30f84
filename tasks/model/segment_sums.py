"""Rows of a packed batch summed by sentence where they are, so that a GPU copies back sentences and not their tokens.

The sums run in float32 and in the order of the rows, whatever else is in the batch. What batches give is put together
here, on this machine: a sentence may have windows in several. Knows no model.
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
    """Rows one behind another that belong to one sentence, run after run; together they are all rows of a batch.

    `sentence` is `(runs,)`, -1 for rows that no sentence takes from here; `lengths` is `(runs,)`, in rows.
    """

    sentence: Ints
    lengths: Ints


def segments_of(windows: Windows, numbers: Ints, source: Ints, sentence_ptr: Ints) -> Segments:
    """Return the runs of a batch of the windows `numbers`; `source` is the token position of each row."""
    taken = windows.takes(numbers, source)
    sentence = np.where(taken, np.searchsorted(sentence_ptr, source, side="right") - 1, -1)
    starts = np.append(0, np.flatnonzero(np.diff(sentence)) + 1)
    return Segments(sentence[starts], np.diff(np.append(starts, len(sentence))))


def sums(states: Tensor, segments: Segments) -> tuple[Ints, Tensor]:
    """Return which sentences there are runs of, and `(these, hidden)` float32: the sum of the rows of each run."""
    kept = np.flatnonzero(segments.sentence >= 0)
    # Adding by index would be done in any order on a GPU; segments are each summed by one thread a column.
    every = torch.segment_reduce(
        states.float(), "sum", lengths=to_device(segments.lengths, states.device), axis=0, unsafe=True
    )
    return segments.sentence[kept], every.index_select(0, to_device(kept, states.device))


class SpecialTokenVectors:
    """The `[CLS]` and closing `[SEP]` vectors of sentences that have windows of their own: means over these windows."""

    def __init__(self, windows: Windows, sentences: int, width: int) -> None:
        self._owner = windows.owner
        self._windows = np.bincount(self._owner[self._owner >= 0], minlength=sentences)
        self.first, self.final = (np.zeros((sentences, width), dtype=np.float32) for _ in range(2))

    @property
    def alone(self) -> npt.NDArray[np.bool_]:
        return self._windows > 0

    def add(self, numbers: Ints, first: Floats, final: Floats) -> None:
        """Take the first and the last row of each of the windows `numbers`."""
        mine = np.flatnonzero(self._owner[numbers] >= 0)
        owners = self._owner[numbers[mine]]
        weight = (1.0 / self._windows[owners])[:, None].astype(np.float32)
        add_at(self.first, owners, first[mine] * weight)
        add_at(self.final, owners, final[mine] * weight)


def add_at(totals: Floats, at: Ints, rows: Floats) -> None:
    """Add each row to `totals[at]`. Where a number comes once, as most do, by plain assignment: `add.at` is slow."""
    once = np.bincount(at, minlength=len(totals))[at] == 1
    totals[at[once]] += rows[once]
    np.add.at(totals, at[~once], rows[~once])
