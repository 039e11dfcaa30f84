"""Nearest rows by an index: one-bit codes of all are compared, and the vectors of the few that are nearest.

What is returned has its exact cosine; a row that is left out is the only error. Knows no text or model.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.candidate_vectors import CandidateVectors
from polyseme.storage.search.candidates import Candidates, LiveRows
from polyseme.storage.search.index import IndexFiles, Progress
from polyseme.storage.search.pieces import PartError
from polyseme.storage.search.placed_columns import Place, columns_at
from polyseme.storage.search.unit_vectors import Floats, cosines, unit_rows
from polyseme.storage.sql.kept_sums import hidden_rows
from polyseme.storage.sql.views import unreadable
from polyseme.storage.user_cache import cache_folder

WORTH_AN_INDEX = 20_000
"""Rows from which on there is an index: fewer are read in a tenth of a second."""
_CHECKED_SECONDS = 0.1
_FIRST_COMPARED, _FIRST_FOR_EACH = 128, 4
"""Vectors that are read first, at least, and for each neighbour: they say what the others must reach."""
_NOT_KEPT = (
    "No index of %s can be kept, so that every search reads all of them. Make place in the cache folder, or set "
    "XDG_CACHE_HOME to one that can be written. (%s)"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks: `check` is called often, and raises to stop; `unconfined` runs a call in a thread that can write
    the user's cache folder; `report` is told how far the index is that is being made; `opened` is given every
    connection that a query runs on, to interrupt it."""

    check: Callable[[], None] = lambda: None
    unconfined: Callable[[Callable[[], None]], None] = lambda call: call()
    report: Callable[[Progress], None] = lambda progress: None
    opened: Callable[[duckdb.DuckDBPyConnection], None] = lambda con: None


class Hits(NamedTuple):
    """Rows that were found, and the cosine of each."""

    candidates: Candidates
    scores: Floats


CALLER = Caller()
"""One that waits as long as it takes, and may write."""


class IndexedRows:
    """The live vectors of a table of an encoding at one catalog version, by their codes. Safe to share between threads.

    For a lake in a folder, and a user with a cache folder: an object store is not read row by row.
    """

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding, table: str) -> None:
        self._snapshot, self._lake, self._encoding, self._table = snapshot, lake, encoding, table
        self._vectors = CandidateVectors(lake)
        self._live: LiveRows | None = None
        self._is_worth_it: bool | None = None
        self._opening = threading.Lock()

    def is_worth_it(self, caller: Caller) -> bool:
        """Return whether an index is to be used: there can be one, and rows enough. It is made if need be.

        One that cannot be kept is told of once, and not tried again. Raises LakeError for a part that cannot be read.
        """
        while not self._opening.acquire(timeout=_CHECKED_SECONDS):
            caller.check()
        try:
            if self._is_worth_it is None:
                can_be = isinstance(self._lake.root, Path) and cache_folder() is not None
                self._is_worth_it = can_be and self._opened(caller)
            return self._is_worth_it
        except PartError as error:
            raise unreadable(self._lake, error) from error
        except OSError as error:
            self._is_worth_it = False
            _log.warning(_NOT_KEPT, self._table, error.strerror)
            return False
        finally:
            self._opening.release()

    def nearest(self, vectors: Floats, k: int, docs: pa.Array | None, caller: Caller) -> list[list[Hits]]:
        """Return, for each of some vectors `(questions, width)`, the `k` rows nearest to it and what equals the last.

        `docs` limits the search to these documents. A vector of zeros has no neighbours. For what `is_worth_it` alone.
        Raises LakeError for a part that cannot be read.
        """
        unit = unit_rows(vectors)
        asked = np.flatnonzero(unit.any(1))
        found: list[list[Hits]] = [[] for _ in unit]
        if k < 1 or not len(asked):
            return found
        assert self._live is not None
        candidates = self._live.near(unit[asked], k, docs, caller.check)
        for row, mine in zip(asked.tolist(), candidates, strict=True):
            found[row] = self._compared(unit[row], mine, k, caller.check)
        return found

    def places(self, hits: Hits) -> list[Place]:
        """Return where the rows lie that were found."""
        segment, rows, _ = hits.candidates
        part, _ = segment.places_of(rows)
        found = zip(part.tolist(), (rows - segment.starts[part]).tolist(), strict=True)
        return [Place(segment.parts[number], row) for number, row in found]

    def columns(self, hits: Hits, names: list[str], check: Callable[[], None]) -> pa.Table:
        """Return columns of the rows that were found. Raises LakeError for a part that cannot be read."""
        try:
            return columns_at(self._lake, self.places(hits), names, check)
        except PartError as error:
            raise unreadable(self._lake, error) from error

    def _opened(self, caller: Caller) -> bool:
        files = IndexFiles(self._lake, self._snapshot, self._encoding, self._table)
        if files.rows() < WORTH_AN_INDEX:
            return False

        def work() -> None:
            index = files.open(caller.check, caller.report)
            self._live = LiveRows(index, hidden_rows(self._snapshot, self._encoding))

        caller.unconfined(work)
        return True

    def _compared(
        self, unit: Floats, candidates: Sequence[Candidates], k: int, check: Callable[[], None]
    ) -> list[Hits]:
        """Return the nearest of the candidates. Those that cannot be near enough are not read."""
        count = max(_FIRST_COMPARED, _FIRST_FOR_EACH * k)
        least = _greatest(count, [some.most for some in candidates])
        first = [some.those(some.most >= least) for some in candidates]
        scores = [self._scores(unit, some, check) for some in first]
        reached = _greatest(k, scores)
        rest = [some.those((some.most < least) & (some.most >= reached)) for some in candidates]
        scores += [self._scores(unit, some, check) for some in rest]
        reached = _greatest(k, scores)
        best = (
            Hits(some.those(mine >= reached), mine[mine >= reached])
            for some, mine in zip([*first, *rest], scores, strict=True)
        )
        return [hits for hits in best if len(hits.scores)]

    def _scores(self, unit: Floats, candidates: Candidates, check: Callable[[], None]) -> Floats:
        try:
            vectors = self._vectors.read(candidates, check)
        except PartError as error:
            raise unreadable(self._lake, error) from error
        return cosines(unit_rows(vectors), unit)


def _greatest(count: int, values: Sequence[Floats]) -> float:
    """Return the least of the `count` greatest values; minus infinity if there are no more than these."""
    every = np.concatenate([np.zeros(0, np.float32), *values])
    return -np.inf if len(every) <= count else float(np.partition(every, -count)[-count])
