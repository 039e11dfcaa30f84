"""Similar sentences: pairs whose vectors have at least some cosine, by an index or by comparing all with all.

Sentences with the same text count once, by the first of them: the views of duplicates have the others. With an index
the codes of all pairs are compared, and the vectors of the few that may be near enough; without, all vectors are in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.search.candidates import Candidates
from polyseme.storage.search.pairs import Pairs, coded_rows
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.indexed_rows import Caller, IndexedRows
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained

LEAST = 0.8
"""The least cosine that can be asked for: below, the pairs of a corpus are too many, and codes rule few of them out."""
_MOST_PAIRS = 2_000_000
_PAIRS_AT_ONCE = 32_768
_ROWS_AT_ONCE = 1024
_ROUNDED = 1e-5
"""How far a matrix product may be from a sum of each row."""
_FIRST = """
SELECT doc_id, sentence_index, {more} FROM {sentences} {joined}
QUALIFY row_number() OVER (PARTITION BY text ORDER BY doc_id, sentence_index) = 1
ORDER BY doc_id, sentence_index"""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two sentences, in the order of document and place, and the cosine of their vectors."""

    doc_id: str
    sentence_index: int
    other_doc_id: str
    other_sentence_index: int
    similarity: float


class SimilarSentences:
    """The pairs of one encoding at one catalog version. `indexed` are its sentences."""

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding, indexed: IndexedRows) -> None:
        self._snapshot, self._lake, self._encoding, self._indexed = snapshot, lake, encoding, indexed

    def pairs(self, at_least: float, *, exact: bool, caller: Caller) -> list[SimilarPair]:
        """Return all pairs with a cosine of at least `at_least`, the most similar first.

        Without `exact`, one in some thousand may be missing. Raises UsageError for another cosine than LEAST to 1,
        PolysemeError for too many pairs, and LakeError for a part that cannot be read.
        """
        if not LEAST <= at_least <= 1:
            raise UsageError(f"The least cosine of two sentences is from {LEAST} to 1; got {at_least:g}.")
        by_index = not exact and self._indexed.is_worth_it(caller)
        found = self._by_index(at_least, caller) if by_index else self._by_comparing(at_least, caller)
        return sorted(found, key=lambda p: (-p.similarity, p.doc_id, p.sentence_index, p.other_doc_id,
                                            p.other_sentence_index))  # fmt: skip

    def _by_index(self, least: float, caller: Caller) -> Iterator[SimilarPair]:
        live = self._indexed.live.segments
        if not live:
            return
        every, segments = coded_rows(live)
        keys = pa.concat_tables([_keys(some) for some in segments])
        keys = keys.append_column("row", pa.array(np.arange(keys.num_rows)))
        keys = self._first_of_each_text("coded.row", caller, keys).combine_chunks()
        rows = keys["row"].to_numpy()
        first, second = _joined(every.taken(rows).near_pairs(least, caller.check))
        order = np.argsort(first, kind="stable")
        for at in range(0, len(order), _PAIRS_AT_ONCE):
            some = first[order[at : at + _PAIRS_AT_ONCE]], second[order[at : at + _PAIRS_AT_ONCE]]
            needed, places = np.unique(np.concatenate(some), return_inverse=True)
            unit = self._vectors(segments, rows[needed], caller.check)
            mine, other = unit[places[: len(some[0])]], unit[places[len(some[0]) :]]
            yield from _alike(keys, some, np.einsum("ij,ij->i", mine, other), least)

    def _by_comparing(self, least: float, caller: Caller) -> Iterator[SimilarPair]:
        keys = self._first_of_each_text("embedding", caller)
        width = self._encoding.spec.width
        unit = unit_rows(keys["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, width))
        first, second = _joined(_compared(unit, least, caller.check))
        for at in range(0, len(first), _PAIRS_AT_ONCE):
            some = first[at : at + _PAIRS_AT_ONCE], second[at : at + _PAIRS_AT_ONCE]
            yield from _alike(keys, some, np.einsum("ij,ij->i", unit[some[0]], unit[some[1]]), least)

    def _first_of_each_text(self, more: str, caller: Caller, coded: pa.Table | None = None) -> pa.Table:
        """Return the keys of sentences, in their order, and one thing `more`; of `coded` rows if there are any."""
        joined = "" if coded is None else "JOIN coded USING (doc_id, sentence_index)"
        sql = _FIRST.format(more=more, sentences=quote_name(f"sentences_{self._encoding.name}"), joined=joined)
        with explained(self._lake), open_snapshot(self._snapshot, self._lake, spill="", macros=False) as con:
            caller.opened(con)
            if coded is not None:
                con.register("coded", coded)
            return con.sql(sql).to_arrow_table()

    def _vectors(self, segments: list[Candidates], rows: Integers, check: Callable[[], None]) -> Floats:
        """Return vectors of rows, which are counted through the live rows of all segments."""
        unit, begins = np.empty((len(rows), self._encoding.spec.width), np.float32), 0
        for segment in segments:
            here = np.flatnonzero((rows >= begins) & (rows < begins + len(segment.rows)))
            if len(here):
                chosen = rows[here] - begins
                some = Candidates(segment.segment, segment.rows[chosen], segment.most[chosen])
                unit[here] = self._indexed.vectors(some, check)
            begins += len(segment.rows)
        return unit


def _keys(some: Candidates) -> pa.Table:
    document, sentence = some.segment.documents_of(some.rows)
    return pa.table({"doc_id": some.segment.doc_id.take(pa.array(document)), "sentence_index": sentence})


def _compared(unit: Floats, least: float, check: Callable[[], None]) -> Iterator[Pairs]:
    for at in range(0, len(unit), _ROWS_AT_ONCE):
        check()
        first, second = np.nonzero(unit[at : at + _ROWS_AT_ONCE] @ unit[at:].T >= least - _ROUNDED)
        later = second > first
        yield first[later] + at, second[later] + at


def _joined(found: Iterable[Pairs]) -> Pairs:
    """Return pairs, each with the row first that comes first. Raises PolysemeError if they are too many."""
    every, count = [(np.empty(0, np.int64),) * 2], 0
    for pair in found:
        every.append(pair)
        count += len(pair[0])
        if count > _MOST_PAIRS:
            raise PolysemeError(
                f"More than {_MOST_PAIRS:,} pairs of sentences may be as similar as that. Ask for those that are more "
                "alike, such as at_least := 0.98."
            )
    first, second = (np.concatenate(some) for some in zip(*every, strict=True))
    return np.minimum(first, second), np.maximum(first, second)


def _alike(keys: pa.Table, pairs: Pairs, cosines: Floats, least: float) -> Iterator[SimilarPair]:
    near = np.flatnonzero(cosines >= least)
    sides = [keys.select(["doc_id", "sentence_index"]).take(pa.array(side[near])) for side in pairs]
    columns = [side[name].to_pylist() for side in sides for name in ("doc_id", "sentence_index")]
    for row in zip(*columns, cosines[near].tolist(), strict=True):
        yield SimilarPair(*row)
