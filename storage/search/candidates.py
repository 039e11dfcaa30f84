"""Candidates: the rows of an index that are probably nearest to a question, among those that are searched.

First by the bits in which codes differ, which is fast, then, of some thousand, by the estimate of their cosine. Rows
that are not searched are left out before, so that the candidates of few documents are as many as those of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.parquet.vector_sums import Hidden
from polyseme.storage.search.index import Index
from polyseme.storage.search.one_bit import Frame, Question, estimates
from polyseme.storage.search.pieces import Integers
from polyseme.storage.search.segment import Segment
from polyseme.storage.search.shortlist import Codes, Mask, shortlists
from polyseme.storage.search.unit_vectors import Floats

_LEAST_LISTED, _FOR_EACH, _OF_ROOT, _AT_WIDTH = 4000, 40, 5, 384
"""Rows to estimate: at least, more for each that is asked for, and for the root of how many are searched, of
codes of 384 bits (`benchmarks/search_scale.py` measures what is found so)."""
_NEARER, _MOST_TIMES = 8, 4
"""A question nearer to the centre than rows are has a list longer by this power of how much, and at most so many times:
its neighbours differ from it in nearly as many bits as all."""
_SURE = 2.5
"""Deviations above its estimate that a cosine is not: 0.6 % are."""
_WORTH_CELLS = 500_000
"""Rows from which on only the nearest cells are searched."""
_OF_ROWS, _MORE = 0.35, 0.1
"""The share of the rows that these have, and how much more for ten times as many neighbours as ten."""
_WORTH_DIVIDING = 500
"""Rows of a cell, in the mean, of a segment that is searched cell by cell."""
_FEW = 1000
"""Rows that are all near enough to be read."""
_ROWS_A_BLOCK = 16_384


class Candidates(NamedTuple):
    """Rows of one segment that may be near, and the most that the cosine of each is, but for few."""

    segment: Segment
    rows: Integers
    most: Floats

    def those(self, chosen: npt.NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        return Candidates(self.segment, self.rows[chosen], self.most[chosen])


class LiveRows:
    """The rows of an index that are live: of parts that are, and of documents that were not replaced or deleted."""

    def __init__(self, index: Index, hidden: Hidden) -> None:
        self._segments = index.segments
        self._live = [_live(*some, hidden) for some in zip(index.segments, index.used, strict=True)]
        counts = [_in_cells(*some) for some in zip(self._segments, self._live, strict=True)]
        self._in_cells: Integers = np.sum(counts, axis=0, dtype=np.int64)

    def near(self, unit: Floats, k: int, docs: pa.Array | None, check: Callable[[], None]) -> list[list[Candidates]]:
        """Return, for each of some vectors `(questions, width)` of length 1, what may be among the `k` nearest.

        All rows if they are few. `docs` limits the search to these documents, None for all. `check` is called
        often, and raises to stop.
        """
        if not self._segments:
            return [[] for _ in unit]
        masks: list[Mask | None]
        masks = self._live if docs is None else [self._of(n, docs) for n in range(len(self._segments))]
        questions = [self._segments[0].frame.question(one) for one in unit]
        # Of some documents all cells are searched: theirs may be others than those of all.
        cells = self._nearest_cells(questions, k) if docs is None else None
        listed = self._listed(questions, masks, k, cells, check)
        return [list(self._estimated(question, rows)) for question, rows in zip(questions, listed, strict=True)]

    def _of(self, number: int, docs: pa.Array) -> Mask:
        segment, live = self._segments[number], self._live[number]
        chosen = pc.is_in(segment.doc_id, value_set=docs.cast(segment.doc_id.type)).to_numpy(zero_copy_only=False)
        mask: Mask = segment.at_places(segment.of_documents(chosen))
        return mask if live is None else mask & live

    def _nearest_cells(self, questions: list[Question], k: int) -> list[Integers] | None:
        """Return the cells to search for each question, the nearest first; None for all."""
        rows = int(self._in_cells.sum())
        if rows < _WORTH_CELLS:
            return None
        least = (_OF_ROWS + _MORE * math.log10(max(k / 10, 1))) * rows
        counts = [int(np.searchsorted(np.cumsum(self._in_cells[one.cells]), least)) + 1 for one in questions]
        return [one.cells[:count] for one, count in zip(questions, counts, strict=True)]

    def _listed(
        self, questions: list[Question], masks: list[Mask | None], k: int, cells: list[Integers] | None,
        check: Callable[[], None],
    ) -> list[Integers]:  # fmt: skip
        """Return, for each question, the places of the rows to estimate, counted through all segments."""
        codes: list[Codes] = []
        first, wanted = 0, 0
        for segment, mask in zip(self._segments, masks, strict=True):
            # Cells of a small segment have too few rows to compare at once.
            divided = segment.rows >= _WORTH_DIVIDING * len(segment.cells)
            codes.append(Codes(segment.bits, first, mask, segment.cells if divided else None))
            first += segment.rows
            wanted += segment.rows if mask is None else int(np.count_nonzero(mask))
        lengths = [_listed(wanted, k, question, self._segments[0].frame) for question in questions]
        if wanted > 2 * max(lengths):
            return shortlists(codes, np.stack([question.bits for question in questions]), lengths, check, cells)
        every = [
            some.first + (np.arange(some.bits.shape[1]) if some.wanted is None else np.flatnonzero(some.wanted))
            for some in codes
        ]
        return [np.concatenate(every)] * len(questions)

    def _estimated(self, question: Question, listed: Integers) -> Iterator[Candidates]:
        ends = np.cumsum([segment.rows for segment in self._segments])
        of = np.searchsorted(ends, listed, side="right")
        for number, segment in enumerate(self._segments):
            places = listed[of == number] - (ends[number] - segment.rows)
            for at in range(0, len(places), _ROWS_A_BLOCK):
                some = places[at : at + _ROWS_A_BLOCK]
                found = estimates(question, segment.coded(some), segment.frame)
                most = found.cosine + _SURE * found.deviation
                rows = segment.order[some].astype(np.int64)
                yield Candidates(segment, rows, most if len(listed) > _FEW else np.full_like(most, np.inf))


def _listed(wanted: int, k: int, question: Question, frame: Frame) -> int:
    """Return how many rows to estimate. Shorter codes say less, and are estimated as much faster."""
    length = max(_LEAST_LISTED, int(_OF_ROOT * wanted**0.5)) + _FOR_EACH * k
    of_rows = math.sqrt(max(1 - float(frame.centre @ frame.centre), 0))
    nearer = of_rows / max(float(np.linalg.norm(question.rotated)), 1e-6)
    times = min(max(nearer**_NEARER, 1), _MOST_TIMES)
    return int(times * length) * max(_AT_WIDTH // frame.width, 1)


def _live(segment: Segment, used: frozenset[str], hidden: Hidden) -> Mask | None:
    """Return at which places of a segment are rows that are live and searched, None for all."""
    is_used = np.array([part in used for part in segment.parts], np.bool_)
    mask: npt.NDArray[np.bool_] | None = None if is_used.all() else np.repeat(is_used, np.diff(segment.starts))
    names = pa.DictionaryArray.from_arrays(pa.array(np.arange(len(segment.doc_id))), segment.doc_id.cast(pa.string()))
    gone = hidden.has(names, segment.version)
    if gone.any():
        shown = segment.of_documents(~gone)
        mask = shown if mask is None else mask & shown
    if segment.searched is not None:
        mask = segment.searched if mask is None else mask & segment.searched
    return None if mask is None else segment.at_places(mask)


def _in_cells(segment: Segment, live: Mask | None) -> Integers:
    """Return how many rows that are live each cell has."""
    if live is None:
        return np.diff(segment.cells)
    counts: Integers = np.diff(np.concatenate([[0], np.cumsum(live, dtype=np.int64)])[segment.cells])
    return counts
