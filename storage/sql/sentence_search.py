"""Search over sentence vectors: exact where that is asked for or costs little, by an index otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.pieces import PartError, reading_parts
from polyseme.storage.search.placed_columns import columns_at
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.indexed_rows import CALLER, Caller, Hits, IndexedRows
from polyseme.storage.sql.nearest import CACHE_BYTES, Neighbour, SentenceVectors, rank
from polyseme.storage.sql.shared import Shared
from polyseme.storage.sql.views import unreadable


class SentenceSearch:
    """The live sentences of one encoding at one catalog version. Safe to share between threads.

    `exact` are all their vectors, which take no memory until they are asked for.
    """

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._lake = lake
        self.exact = SentenceVectors(snapshot, lake, encoding, cache_bytes=cache_bytes)
        self._indexed = IndexedRows(snapshot, lake, encoding, "sentences")

    def nearest(
        self, vectors: Floats, k: int, *, docs: pa.Array | None = None, exact: bool = False, caller: Caller = CALLER
    ) -> list[list[Neighbour]]:
        """Return, for each of some vectors `(questions, width)`, the `k` sentences nearest to it, best first.

        Ties are by document and sentence. `docs` limits the search to these documents. A vector of zeros has no
        neighbours. Without `exact`, one in some hundred of them may be missing, with what comes after it in its place.
        Raises LakeError for a part that cannot be read.
        """
        if exact or not self._indexed.is_worth_it(caller):
            return self.exact.nearest(vectors, k, docs=docs, check=caller.check)
        found = self._indexed.nearest(vectors, k, docs, caller)
        return [sorted((n for hits in one for n in self._neighbours(hits)), key=rank)[:k] for one in found]

    def with_texts(self, found: list[list[Neighbour]], check: Callable[[], None]) -> list[list[Neighbour]]:
        """Return what was found with its texts, except in an object store. Raises LakeError for a damaged part."""
        places = [neighbour.place for one in found for neighbour in one if neighbour.place is not None]
        if not places:
            return found
        try:
            with reading_parts():  # a text may be no UTF-8
                texts = iter(columns_at(self._lake, places, ["text"], check)["text"].to_pylist())
        except PartError as error:
            raise unreadable(self._lake, error) from error
        return [[replace(n, text=next(texts)) if n.place else n for n in one] for one in found]

    def _neighbours(self, hits: Hits) -> Iterator[Neighbour]:
        segment, rows, _ = hits.candidates
        document, sentence = segment.documents_of(rows)
        names = segment.doc_id.take(pa.array(document)).to_pylist()
        found = zip(names, sentence.tolist(), hits.scores.tolist(), self._indexed.places(hits), strict=True)
        for name, index, score, place in found:
            yield Neighbour(name, index, score, place)


_shared = Shared[SentenceSearch](2)


def shared_search(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, cache_bytes: int = CACHE_BYTES
) -> SentenceSearch:
    """Return this process's search over a lake's encoding, kept as long as it is the latest."""
    return _shared.get(
        snapshot, lake, encoding, lambda: SentenceSearch(snapshot, lake, encoding, cache_bytes=cache_bytes),
        of=cache_bytes,
    )  # fmt: skip
