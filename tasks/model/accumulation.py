"""Vectors of batches added up on the host, in the order of the batches: a sentence may have windows in several."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.text.windows import Windows


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
    if once.all():
        totals[at] += rows
        return
    totals[at[once]] += rows[once]
    np.add.at(totals, at[~once], rows[~once])
