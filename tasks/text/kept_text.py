"""The part of a text that is read, with the way back: offsets in it become offsets in the whole text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polyseme.tasks.arrays import Ints


class Edit(NamedTuple):
    """Characters `start:stop` of a text, and what is read in their place, which is no longer than they are."""

    start: int
    stop: int
    instead: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class KeptText:
    """A text with some of its characters left out. `begins` `(runs,)` are where what was kept in a row begins in it.

    `shifts` `(runs,)` is how far each run lies behind its place in the whole text.
    """

    text: str
    begins: Ints
    shifts: Ints

    @staticmethod
    def of(text: str, edits: Iterable[Edit]) -> KeptText:
        """Return a text with edits, which are in order and disjoint."""
        pieces, begins, shifts = list[str](), [0], [0]
        at = size = 0
        for start, stop, instead in edits:
            if len(instead) > stop - start or start < at:
                raise ValueError(f"edits must be in order and shorten a text, got {start}:{stop} after {at}")
            pieces += [text[at:start], instead]
            size += start - at + len(instead)
            at = stop
            begins.append(size)
            shifts.append(stop - size)
        pieces.append(text[at:])
        return KeptText("".join(pieces), np.array(begins, np.int64), np.array(shifts, np.int64))

    def places(self, offsets: Ints) -> Ints:
        """Return where characters of this text are in the whole one; of what is read instead, the first one's place."""
        found: Ints = offsets + self.shifts[np.searchsorted(self.begins, offsets, side="right") - 1]
        return found

    def spans(self, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
        """Return half-open spans in the whole text. An empty one stays empty."""
        first = self.places(start)
        return first, np.where(stop > start, self.places(np.maximum(stop - 1, 0)) + 1, first)
