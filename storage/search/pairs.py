"""Pairs of rows whose one-bit codes are alike.

A code is cut into lanes of 16 bits, and only rows that agree in a whole lane are compared: the bits of two similar
vectors differ so seldom that one of the lanes is free of it (locality-sensitive hashing, Indyk & Motwani 1998, doi
10.1145/276698.276876; that bits differ with the angle: Charikar 2002, doi 10.1145/509907.509965). Where vectors may be
less similar than that, each is compared with each, by a third of the bits first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from polyseme.storage.search.one_bit import Frame, Halves, Words
from polyseme.storage.search.pieces import Integers

_LANE_BITS = 16
_FOUND = 0.95
"""The share of pairs at the least similarity that lanes must find: of all above it they find nearly all."""
_SURE = 4.0
"""Standard deviations that the bits of a pair may differ more than is expected: one in 30,000 does."""
_NEAR_CENTRE = 0.99
"""The share of vectors that are no nearer to the centre than what codes are asked for is meant for."""
_PAIRS_AT_ONCE = 1 << 18
_BLOCK = 16_384
"""Rows that are compared at once with one: their bits and counts stay in a core's cache."""
_FIRST_WORDS = 2
Check = Callable[[float], None]
"""Is told the share that is done, often, and raises to stop."""


@dataclass(frozen=True, slots=True)
class Alike:
    """How alike codes of `width` bits must be: a `share` of them differs, the angle of two vectors by half a turn.

    So many do if both are near to the centre, and `usual` is the share otherwise.
    """

    width: int
    share: float
    usual: float

    @staticmethod
    def of(frame: Frame, offset: Halves, at_least: float) -> Alike:
        """Return how alike those of vectors with at least a cosine are; `offset` are the cosines with the centre.

        The nearer to the centre they are, the wider is the angle between them that is seen from there.
        """
        some = offset.astype(np.float32) if len(offset) else np.zeros(1, np.float32)
        near, usual = (_share(frame, float(np.quantile(some, q)), at_least) for q in (_NEAR_CENTRE, 0.5))
        return Alike(frame.width, near, usual)

    def most(self, bits: int) -> int:
        """Return in how many of some bits two codes differ, but for few."""
        return math.ceil(bits * self.share + _SURE * math.sqrt(bits * self.share * (1 - self.share)))

    @property
    def by_lanes(self) -> float:
        """The share of pairs that are just similar enough which lanes find; of more similar ones they find more."""
        return 1 - (1 - (1 - self.usual) ** _LANE_BITS) ** (self.width // _LANE_BITS)


def _share(frame: Frame, offset: float, at_least: float) -> float:
    """Return the angle, by half a turn, that is seen from the centre between two vectors with a cosine of `at_least`.

    `offset` is the cosine of both with the centre.
    """
    size = float(frame.centre @ frame.centre)
    squared = 1 - 2 * offset + size  # of the distance from the centre
    seen = (at_least - 2 * offset + size) / squared if squared > 0 else -1.0
    return math.acos(min(max(seen, -1.0), 1.0)) / math.pi


def pairs(bits: Words, alike: Alike, check: Check) -> Iterator[tuple[Integers, Integers]]:
    """Yield pairs of rows of codes `(words, rows)`, each pair once, that are as alike as asked for."""
    return _by_lanes(bits, alike, check) if alike.by_lanes >= _FOUND else _each_with_each(bits, alike, check)


def _by_lanes(bits: Words, alike: Alike, check: Check) -> Iterator[tuple[Integers, Integers]]:
    codes = np.ascontiguousarray(bits.T)
    lanes = codes.view(np.uint16)[:, : alike.width // _LANE_BITS]
    for lane in range(lanes.shape[1]):
        order = np.argsort(lanes[:, lane], kind="stable")
        keys = lanes[order, lane]
        # Rows with the same key follow one another: each is compared with the next, with the one after it, and so on.
        first, apart = np.arange(len(keys)), 1
        while len(first := first[: np.searchsorted(first, len(keys) - apart)]):
            first = first[keys[first] == keys[first + apart]]
            for at in range(0, len(first), _PAIRS_AT_ONCE):
                check(lane / lanes.shape[1])
                some = first[at : at + _PAIRS_AT_ONCE]
                yield _in_lane(codes, order[some], order[some + apart], lane, alike)
            apart += 1


def _in_lane(codes: Words, one: Integers, other: Integers, lane: int, alike: Alike) -> tuple[Integers, Integers]:
    """Return those of the pairs that differ in few bits and agree in no lane before this."""
    differing = codes[one] ^ codes[other]
    near = np.flatnonzero(np.bitwise_count(differing).sum(1, dtype=np.int64) <= alike.most(alike.width))
    new = near[(differing[near].view(np.uint16) == 0).argmax(1) == lane]
    return one[new], other[new]


def _each_with_each(bits: Words, alike: Alike, check: Check) -> Iterator[tuple[Integers, Integers]]:
    few = min(_FIRST_WORDS, len(bits))
    most, most_of_all = alike.most(min(64 * few, alike.width)), alike.most(alike.width)
    differing, count, total = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8)
    rows = bits.shape[1]
    for at in range(0, rows, _BLOCK):
        others = bits[:few, at : at + _BLOCK]
        x, c, t = (some[: others.shape[1]] for some in (differing, count, total))
        for row in range(min(at + others.shape[1], rows)):
            if not row % 64:
                check((at / rows) ** 2)
            t[:] = 0
            for word, asked in zip(others, bits[:few, row], strict=True):
                np.bitwise_xor(word, asked, out=x)
                np.bitwise_count(x, out=c)
                np.add(t, c, out=t)
            near = np.flatnonzero(t <= most) + at
            near = near[near > row]
            if len(near):
                near = near[np.bitwise_count(bits[:, near] ^ bits[:, [row]]).sum(0, dtype=np.int64) <= most_of_all]
                yield np.full(len(near), row, np.int64), near
