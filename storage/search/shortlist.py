"""Shortlists: the rows whose codes differ least from that of a question, in one pass over all or some cells.

A row's distance is the number of bits in which it differs. Codes lie word by word, so that NumPy compares 64 bits of
thousands of rows at once (`benchmarks/code_scan.py` measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.storage.search.one_bit import Words

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.uint16]

_WORDS_A_BLOCK = 6 * 32_768
"""Words of codes that are compared at once: many, so that calls cost little beside them."""
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
    codes: list[Codes],
    questions: Words,
    lengths: Sequence[int],
    check: Callable[[], None],
    near: Sequence[Rows] | None = None,
) -> list[Rows]:
    """Return, for each of the questions `(questions, words)`, so many rows, whose codes are nearest to it.

    `near` are the cells to search for each of them, the nearest first, so that few rows of later ones are near enough
    to be listed; None for all. `check` is called often, and raises to stop.
    """
    jobs = [job for some in codes for job in _jobs(some, len(questions), near)]
    threads = min(_THREADS, len(jobs) // _BLOCKS_A_THREAD)
    if threads <= 1:
        return [found.rows() for found in _scanned(jobs, questions, lengths, check)]
    with ThreadPoolExecutor(threads, "polyseme-search") as pool:
        results = list(pool.map(lambda n: _scanned(jobs[n::threads], questions, lengths, check), range(threads)))
    for other in results[1:]:
        for mine, its in zip(results[0], other, strict=True):
            mine.join(its)
    return [found.rows() for found in results[0]]


class _Job(NamedTuple):
    """Rows of some codes, in ranges that are one block, that are compared with the questions of these numbers."""

    codes: Codes
    ranges: list[tuple[int, int]]
    asked: list[int]


def _jobs(codes: Codes, questions: int, near: Sequence[Rows] | None) -> Iterator[_Job]:
    if near is None or codes.cells is None:
        for block in _blocks([(0, codes.bits.shape[1])], _rows_a_block(len(codes.bits))):
            yield _Job(codes, block, list(range(questions)))
        return
    starts = codes.cells.tolist()
    for number, cells in enumerate(near):
        ranges = [(starts[cell], starts[cell + 1]) for cell in cells.tolist()]
        for block in _blocks(ranges, _rows_a_block(len(codes.bits))):
            yield _Job(codes, block, [number])


def _blocks(ranges: Iterable[tuple[int, int]], rows: int) -> Iterator[list[tuple[int, int]]]:
    """Yield ranges in their order, cut and put together so that each block has so many rows, and the last the rest."""
    block, free = list[tuple[int, int]](), rows
    for start, end in ranges:
        at = start
        while at < end:
            block.append((at, min(end, at + free)))
            free -= block[-1][1] - at
            at = block[-1][1]
            if not free:
                yield block
                block, free = [], rows
    if block:
        yield block


def _scanned(jobs: list[_Job], questions: Words, lengths: Sequence[int], check: Callable[[], None]) -> list[Shortlist]:
    words = questions.shape[1]
    lists, differences = [Shortlist(length, 64 * words) for length in lengths], _Differences(words)
    for codes, ranges, asked in jobs:
        check()
        some = [np.arange(start, end) for start, end in ranges]
        bits = [codes.bits[:, start:end] for start, end in ranges]
        if codes.wanted is not None:
            chosen = [np.flatnonzero(codes.wanted[start:end]) for start, end in ranges]
            some = [rows[mine] for rows, mine in zip(some, chosen, strict=True)]
            bits = [its if len(mine) == its.shape[1] else its[:, mine] for its, mine in zip(bits, chosen, strict=True)]
        rows = np.concatenate(some) + codes.first
        for number in asked:
            found = lists[number]
            distances = differences.count(bits, questions[number])
            near = np.flatnonzero(distances <= found.most)
            if len(near):
                found.add(rows[near], distances[near])
    return lists


class _Differences:
    """Counts the bits in which the codes of a block differ from a question, where it has room for them."""

    def __init__(self, words: int) -> None:
        rows = _rows_a_block(words)
        self._differing, self._counts = np.empty((words, rows), np.uint64), np.empty((words, rows), np.uint8)
        self._total = np.empty(rows, np.uint16)

    def count(self, bits: Sequence[Words], question: npt.NDArray[np.uint64]) -> Distances:
        """Return the count of each row of some codes `(words, rows)`, valid until the next call."""
        rows = 0
        for some in bits:
            np.bitwise_xor(some, question[:, None], out=self._differing[:, rows : rows + some.shape[1]])
            rows += some.shape[1]
        counts = np.bitwise_count(self._differing[:, :rows], out=self._counts[:, :rows])
        found: Distances = np.add.reduce(counts, axis=0, dtype=np.uint16, out=self._total[:rows])
        return found


def _rows_a_block(words: int) -> int:
    return max(_WORDS_A_BLOCK // words, 1)
