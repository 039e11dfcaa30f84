"""Pairs: rows of an index whose vectors may have at least some cosine, by the bits in which their codes differ.

Two codes differ in as many of their bits as the angle of their vectors, seen from the centre, is of half a turn
(Charikar 2002, doi 10.1145/509907.509965). For one pair in 30,000 it is more than `_SURE` deviations above that. Rows
are compared by 128 bits, and what is left by all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.storage.search.candidates import Candidates
from polyseme.storage.search.one_bit import Frame, Words
from polyseme.storage.search.segment import Segment
from polyseme.storage.search.shortlist import Mask
from polyseme.storage.search.unit_vectors import Floats

Integers = npt.NDArray[np.int64]
Pairs = tuple[Integers, Integers]

_SURE = 4.0
_BLOCK = 16_384
"""Rows that are compared at once with one: their bits and counts stay in a core's cache."""
_FIRST_WORDS = 2


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Codes `(words, rows)` of a frame, and the cosine of each row with its centre."""

    frame: Frame
    bits: Words
    offset: Floats

    def taken(self, rows: Integers) -> CodedRows:
        """Return some of them."""
        return CodedRows(self.frame, np.ascontiguousarray(self.bits[:, rows]), self.offset[rows])

    def near_pairs(self, least: float, check: Callable[[], None]) -> Iterator[Pairs]:
        """Yield pairs of rows, each once, that may have a cosine of at least `least`.

        `check` is called often, and raises to stop.
        """
        # Rows of about the same cosine with the centre stand together, so that one bound holds for two blocks.
        order = np.argsort(self.offset, kind="stable")
        rows = self.taken(order)
        starts = range(0, len(order), _BLOCK)
        for first in starts:
            for second in starts:
                if second < first:
                    continue
                for one, others in rows._near(
                    slice(first, first + _BLOCK), slice(second, second + _BLOCK), least, check
                ):
                    yield order[one], order[others]

    def _near(self, first: slice, second: slice, least: float, check: Callable[[], None]) -> Iterator[Pairs]:
        apart = _angle(self.frame, self.offset[first], self.offset[second], least)
        few = min(_FIRST_WORDS, self.frame.words)
        most, most_of_all = (_most(min(64 * words, self.frame.width), apart) for words in (few, self.frame.words))
        others = self.bits[:few, second]
        differing, count = np.empty(others.shape[1], np.uint64), np.empty(others.shape[1], np.uint8)
        total = np.empty(others.shape[1], np.uint8)
        for at, one in enumerate(self.bits[:few, first].T, first.start):
            if not at % 64:
                check()
            total[:] = 0
            for word, asked in zip(others, one, strict=True):
                np.bitwise_xor(word, asked, out=differing)
                np.bitwise_count(differing, out=count)
                np.add(total, count, out=total)
            near = np.flatnonzero(total <= most) + second.start
            near = near[near > at]
            if len(near):
                distances = np.bitwise_count(self.bits[:, near] ^ self.bits[:, [at]]).sum(0)
                near = near[distances <= most_of_all]
                yield np.full(len(near), at, np.int64), near


def coded_rows(live: Sequence[tuple[Segment, Mask | None]]) -> tuple[CodedRows, list[Candidates]]:
    """Return the codes of the live rows of segments, of which there is one at least, and these rows of each."""
    rows = [np.arange(segment.rows) if mask is None else np.flatnonzero(mask) for segment, mask in live]
    found = [(segment, some) for (segment, _), some in zip(live, rows, strict=True)]
    return CodedRows(
        live[0][0].frame,
        np.concatenate([segment.bits[:, some] for segment, some in found], axis=1),
        np.concatenate([segment.offset[some].astype(np.float32) for segment, some in found]),
    ), [Candidates(segment, some, np.ones(len(some), np.float32)) for segment, some in found]


def _angle(frame: Frame, first: Floats, second: Floats, least: float) -> float:
    """Return the greatest angle, seen from the centre, of two rows with a cosine of `least`, for those of two ranges of
    cosines with the centre; pi if such rows may be where the centre is."""
    size = float(frame.centre @ frame.centre)
    ones, others = ([float(some.min()), float(some.max())] for some in (first, second))
    # The cosine seen from the centre is least on the edge of both ranges, at a corner or where its slope is 0.
    edge = [(a, b) for a in ones for b in (*others, min(max(a + 1 - least, others[0]), others[1]))]
    edge += [(min(max(b + 1 - least, ones[0]), ones[1]), b) for b in others]
    smallest = 1.0
    for a, b in edge:
        lengths = max(1 - 2 * a + size, 0) * max(1 - 2 * b + size, 0)
        smallest = min(smallest, (least - a - b + size) / lengths**0.5 if lengths > 0 else -1)
    return float(np.arccos(max(smallest, -1)))


def _most(bits: int, angle: float) -> int:
    """Return in how many of some bits the codes of two rows with this angle differ at most, but for few."""
    share = angle / np.pi
    return int(bits * share + _SURE * (bits * share * (1 - share)) ** 0.5 + 1)
