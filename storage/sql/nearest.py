"""Nearest sentences: exact top-k by cosine over the stored vectors of one encoding.

Reading vectors costs far more than comparing them, so unit vectors are cached as float32 in memory, up to
a limit in bytes; a larger lake is streamed from its parts at every query, slower and as exact. Knows no text or model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.placed_columns import Place
from polyseme.storage.search.unit_vectors import Floats, cosines, unit_rows
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.sentence_blocks import Places, SentenceBlock, sentence_blocks
from polyseme.storage.sql.views import explained

CACHE_BYTES = 2 * 2**30
"""Default limit of the vectors cached in memory: 1.4 million sentences of 384 dimensions."""
_ROWS_A_BLOCK = 65_536
_ROUNDED = 1e-6
"""How far a matrix product may be from a sum of each row."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A sentence and its cosine similarity to the query, -1 to 1; where its row lies, None in an object store."""

    doc_id: str
    sentence_index: int
    similarity: float
    place: Place | None = field(default=None, compare=False)
    text: str | None = field(default=None, compare=False)
    """None unless it was asked for."""


class SentenceVectors:
    """The live sentence vectors of one encoding at one catalog version. Safe to share between threads."""

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._snapshot, self._lake, self._encoding, self._cache_bytes = snapshot, lake, encoding, cache_bytes
        self._cached: list[SentenceBlock] | None = None
        self._rows: int | None = None
        self._loading = threading.Lock()

    @property
    def identity(self) -> tuple[str, str, str]:
        """The ids of the lake and the encoding, and the version of the catalog, which a restore has with another
        epoch."""
        version = f"{self._snapshot.catalog_version} {self._snapshot.epoch}"
        return self._snapshot.lake_id, self._encoding.encoding_id, version

    def nearest(
        self, vectors: Floats, k: int, *, docs: pa.Array | None = None, check: Callable[[], None] = lambda: None
    ) -> list[list[Neighbour]]:
        """Return, for each of some vectors `(questions, width)`, the `k` sentences nearest to it, best first.

        Ties are by document and sentence. `docs` limits the search to these documents. A vector of zeros has no
        neighbours. `check` is called often, and raises to stop.
        """
        unit = unit_rows(vectors)
        asked = np.flatnonzero(unit.any(1)).tolist() if k > 0 else []
        best: list[list[Neighbour]] = [[] for _ in unit]
        for block in self._blocks() if asked else ():
            check()
            rows = None if docs is None else block.rows_of(docs)
            for i in asked:
                best[i] = sorted([*best[i], *_best(block, unit[i], k, rows)], key=rank)[:k]
        return best

    def keys(self) -> Iterable[tuple[pa.DictionaryArray, npt.NDArray[np.int32]]]:
        """Yield `doc_id` and `sentence_index` of all sentences, some at a time, without reading vectors."""
        with explained(self._lake), self._open() as con:
            rows = con.sql(f"SELECT doc_id, sentence_index FROM {self._view}")
            for batch in rows.to_arrow_reader(_ROWS_A_BLOCK):
                index = batch.column("sentence_index").to_numpy(zero_copy_only=False).astype(np.int32)
                yield batch.column("doc_id").dictionary_encode(), index

    def blocks(self) -> Iterable[tuple[pa.DictionaryArray, npt.NDArray[np.int32], Floats]]:
        """Yield all sentences, some at a time: `doc_id`, `sentence_index` and vectors `(rows, width)` of length 1."""
        for block in self._blocks():
            yield block.doc_id, block.sentence_index, block.unit

    def _blocks(self) -> Iterable[SentenceBlock]:
        with self._loading:
            if self._rows is None:
                self._rows = self._count()
            if self._cached is None and self._rows * self._encoding.spec.width * 4 <= self._cache_bytes:
                self._cached = [self._read_whole(self._rows)]
        return self._read() if self._cached is None else self._cached

    @property
    def _view(self) -> str:
        return quote_name(f"sentences_{self._encoding.name}")

    def _open(self) -> duckdb.DuckDBPyConnection:
        # Without a folder to spill to: SQL asks in a confined thread, where none can be made, and a scan needs none.
        return open_snapshot(self._snapshot, self._lake, spill="", macros=False)

    def _count(self) -> int:
        with explained(self._lake), self._open() as con:
            (rows,) = con.execute(f"SELECT count(*) FROM {self._view}").fetchall()[0]
        return int(rows)

    def _read_whole(self, rows: int) -> SentenceBlock:
        """Read everything into one matrix: many small products are slow on a busy machine."""
        unit = np.empty((rows, self._encoding.spec.width), np.float32)
        names, indexes, places, at = [], [np.empty(0, np.int32)], list[Places](), 0
        for block in self._read():
            unit[at : at + len(block.unit)] = block.unit
            at += len(block.unit)
            names.append(block.doc_id.cast(pa.string()))
            indexes.append(block.sentence_index)
            places += [block.places] if block.places else []
        doc_id = pa.chunked_array(names, pa.string()).combine_chunks().dictionary_encode()
        return SentenceBlock(doc_id, np.concatenate(indexes), unit, Places.joined(places) if places else None)

    def _read(self) -> Iterator[SentenceBlock]:
        return sentence_blocks(self._snapshot, self._lake, self._encoding)


def _best(block: SentenceBlock, unit: Floats, k: int, rows: npt.NDArray[np.int64] | None) -> list[Neighbour]:
    scores = block.unit @ unit
    if rows is None:
        rows = np.arange(len(scores))
    else:
        scores = scores[rows]
    if len(rows) > k:
        # All that equal the k-th stay, so that ties are broken by rank and not by the end of a block.
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows = rows[scores >= least - _ROUNDED]
    scores = cosines(block.unit[rows], unit)
    names = block.doc_id.take(pa.array(rows)).to_pylist()
    places = block.places.of(rows) if block.places else [None] * len(rows)
    found = zip(names, block.sentence_index[rows].tolist(), scores.tolist(), places, strict=True)
    return sorted((Neighbour(*row) for row in found), key=rank)[:k]


def rank(neighbour: Neighbour) -> tuple[float, str, int]:
    """Return what neighbours are sorted by: the most similar first, ties by document and sentence."""
    return -neighbour.similarity, neighbour.doc_id, neighbour.sentence_index
