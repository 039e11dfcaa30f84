"""Shortlists: the rows whose codes differ least from that of a question, in one pass over all codes.

A row's distance is the number of bits in which it differs. Codes lie word by word, so that NumPy compares 64 bits of
thousands of rows at once (`benchmarks/code_scan.py` measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.storage.search.one_bit import Words

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.uint16]

_BLOCK = 32_768
"""Rows that are compared at once: a word of each and its counts stay in a core's cache."""
_THREADS = 2
_BLOCKS_A_THREAD = 16


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes `(words, rows)`, numbered from `first` on. `wanted` are the rows to search, None for all.

    The rows of each cell begin at `cells`, one more than cells; None if they lie in no order.
    """

    bits: Words
    first: int
    wanted: Mask | None = None
    cells: Rows | None = None


class Shortlist:
    """The `length` rows of least distance. Not thread-safe."""

    def __init__(self, length: int, width: int) -> None:
        self._length = length
        self._counts = np.zeros(width + 1, np.int64)
        self._rows: list[Rows] = []
        self._distances: list[Distances] = []
        self.most = width
        """No row of a greater distance belongs in the list any more."""

    def add(self, rows: Rows, distances: Distances) -> None:
        """Add rows that may be near enough, none of them twice."""
        self._rows.append(rows)
        self._distances.append(distances)
        self._counts += np.bincount(distances, minlength=len(self._counts))
        self.most = min(self.most, int(np.searchsorted(np.cumsum(self._counts), self._length)))

    def join(self, other: Shortlist) -> None:
        """Add the rows of another list, of other rows."""
        for rows, distances in zip(other._rows, other._distances, strict=True):
            self.add(rows, distances)

    def rows(self) -> Rows:
        """Return the rows, in ascending order: of those that equal the last of them, the first."""
        if not self._rows:
            return np.empty(0, np.int64)
        rows, distances = np.concatenate(self._rows), np.concatenate(self._distances)
        near = np.flatnonzero(distances <= self.most)
        near = near[np.lexsort((rows[near], distances[near]))][: self._length]
        return np.sort(rows[near])


def shortlists(
    codes: list[Codes], questions: Words, length: int, check: Callable[[], None], near: Mask | None = None
) -> list[Rows]:
    """Return, for each of the questions `(questions, words)`, the rows whose codes are nearest to it.

    Of `near` `(questions, cells)` only the cells that are chosen are searched, all if it is None. `check` is called
    often, and raises to stop.
    """
    jobs = [job for some in codes for job in _jobs(some, len(questions), near)]
    threads = min(_THREADS, len(jobs) // _BLOCKS_A_THREAD)
    if threads <= 1:
        return [found.rows() for found in _scanned(jobs, questions, length, check)]
    with ThreadPoolExecutor(threads, "polyseme-search") as pool:
        results = list(pool.map(lambda n: _scanned(jobs[n::threads], questions, length, check), range(threads)))
    for other in results[1:]:
        for mine, its in zip(results[0], other, strict=True):
            mine.join(its)
    return [found.rows() for found in results[0]]


class _Job(NamedTuple):
    """Rows of some codes, from `start` to before `end`, that are compared with the questions of these numbers."""

    codes: Codes
    start: int
    end: int
    asked: list[int]


def _jobs(codes: Codes, questions: int, near: Mask | None) -> Iterator[_Job]:
    if near is None or codes.cells is None:
        ranges = [(0, codes.bits.shape[1], list(range(questions)))]
    else:
        ends = zip(codes.cells[:-1].tolist(), codes.cells[1:].tolist(), strict=True)
        ranges = [(*some, np.flatnonzero(near[:, cell]).tolist()) for cell, some in enumerate(ends)]
    for start, end, asked in ranges:
        if asked:
            for at in range(start, end, _BLOCK):
                yield _Job(codes, at, min(at + _BLOCK, end), asked)


def _scanned(jobs: list[_Job], questions: Words, length: int, check: Callable[[], None]) -> list[Shortlist]:
    lists = [Shortlist(length, 64 * questions.shape[1]) for _ in questions]
    differing = np.empty(_BLOCK, np.uint64)
    count, total = np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint16)
    for codes, at, end, asked in jobs:
        check()
        bits = codes.bits[:, at:end]
        picked = None if codes.wanted is None else np.flatnonzero(codes.wanted[at:end])
        if picked is not None and len(picked) < bits.shape[1]:
            bits = bits[:, picked]
        n = bits.shape[1]
        for number in asked:
            found = lists[number]
            distances = _distances(bits, questions[number], differing[:n], count[:n], total[:n])
            near = np.flatnonzero(distances <= found.most)
            if len(near):
                rows = near if picked is None else picked[near]
                found.add(rows + (codes.first + at), distances[near])
    return lists


def _distances(
    bits: Words, question: npt.NDArray[np.uint64], differing: Words, count: npt.NDArray[np.uint8], total: Distances
) -> Distances:
    """Return in how many bits rows differ from the question. The last three are where it is computed."""
    total[:] = 0
    for word, asked in zip(bits, question, strict=True):
        np.bitwise_xor(word, asked, out=differing)
        np.bitwise_count(differing, out=count)
        np.add(total, count, out=total)
    return total
