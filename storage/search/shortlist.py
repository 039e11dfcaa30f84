"""Shortlists: the rows whose codes differ least from that of a question, in one pass over all codes.

A row's distance is the number of bits in which it differs. Codes lie word by word, so that NumPy compares 64 bits of
thousands of rows at once (`benchmarks/code_scan.py` measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
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
    codes: list[Codes], questions: Words, length: int, check: Callable[[], None], near: Sequence[Rows] | None = None
) -> list[Rows]:
    """Return, for each of the questions `(questions, words)`, the rows whose codes are nearest to it.

    `near` are the cells to search for each of them, the nearest first, so that few rows of later ones are near enough
    to be listed; None for all. `check` is called often, and raises to stop.
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


def _jobs(codes: Codes, questions: int, near: Sequence[Rows] | None) -> Iterator[_Job]:
    if near is None or codes.cells is None:
        ranges = [(0, codes.bits.shape[1], list(range(questions)))]
    else:
        starts = codes.cells.tolist()
        ranges = [(starts[cell], starts[cell + 1], asked) for cell, asked in _in_turn(near)]
    for start, end, asked in ranges:
        rows = _rows_a_block(len(codes.bits))
        for at in range(start, end, rows):
            yield _Job(codes, at, min(at + rows, end), asked)


def _in_turn(near: Sequence[Rows]) -> Iterable[tuple[int, list[int]]]:
    """Return each cell with the questions that search it: the nearest of all questions first."""
    asked: dict[int, list[int]] = {}
    for some in zip_longest(*(cells.tolist() for cells in near)):
        for number, cell in enumerate(some):
            if cell is not None:
                asked.setdefault(cell, []).append(number)
    return asked.items()


def _scanned(jobs: list[_Job], questions: Words, length: int, check: Callable[[], None]) -> list[Shortlist]:
    lists = [Shortlist(length, 64 * questions.shape[1]) for _ in questions]
    words = questions.shape[1]
    rows = _rows_a_block(words)
    differing, counts, total = (
        np.empty((words, rows), np.uint64),
        np.empty((words, rows), np.uint8),
        np.empty(rows, np.uint16),
    )
    for codes, at, end, asked in jobs:
        check()
        bits = codes.bits[:, at:end]
        picked = None if codes.wanted is None else np.flatnonzero(codes.wanted[at:end])
        if picked is not None and len(picked) < bits.shape[1]:
            bits = bits[:, picked]
        n = bits.shape[1]
        for number in asked:
            found = lists[number]
            distances = _distances(bits, questions[number], differing[:, :n], counts[:, :n], total[:n])
            near = np.flatnonzero(distances <= found.most)
            if len(near):
                chosen = near if picked is None else picked[near]
                found.add(chosen + (codes.first + at), distances[near])
    return lists


def _distances(
    bits: Words, question: npt.NDArray[np.uint64], differing: Words, counts: npt.NDArray[np.uint8], total: Distances
) -> Distances:
    """Return in how many bits rows differ from the question. The last three are where it is computed."""
    np.bitwise_xor(bits, question[:, None], out=differing)
    np.bitwise_count(differing, out=counts)
    found: Distances = np.add.reduce(counts, axis=0, dtype=np.uint16, out=total)
    return found


def _rows_a_block(words: int) -> int:
    return max(_WORDS_A_BLOCK // words, 1)
