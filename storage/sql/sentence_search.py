"""Search over sentence vectors: exact where that is asked for or costs little, by an index otherwise."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.indexed_nearest import CALLER, Caller, IndexedSentences
from polyseme.storage.sql.nearest import CACHE_BYTES, Neighbour, SentenceVectors

_SHARED_LIMIT = 2
_log = logging.getLogger(__name__)


class SentenceSearch:
    """The live sentences of one encoding at one catalog version. Safe to share between threads.

    `exact` are all their vectors, which take no memory until they are asked for.
    """

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.exact = SentenceVectors(snapshot, lake, encoding, cache_bytes=cache_bytes)
        self._indexed: IndexedSentences | None = IndexedSentences(snapshot, lake, encoding)

    def nearest(
        self, vectors: Floats, k: int, *, docs: pa.Array | None = None, exact: bool = False, caller: Caller = CALLER
    ) -> list[list[Neighbour]]:
        """Return, for each of some vectors `(questions, width)`, the `k` sentences nearest to it, best first.

        Ties are by document and sentence. `docs` limits the search to these documents. A vector of zeros has no
        neighbours. Without `exact`, one in some hundred of them may be missing, with what comes after it in its place.
        Raises LakeError for a part that cannot be read.
        """
        indexed = None if exact else self._index(caller)
        if indexed is None:
            return self.exact.nearest(vectors, k, docs=docs, check=caller.check)
        return indexed.nearest(vectors, k, docs, caller)

    def _index(self, caller: Caller) -> IndexedSentences | None:
        indexed = self._indexed
        if indexed is None:
            return None
        try:
            return indexed if indexed.is_worth_it(caller) else None
        except OSError as error:
            _log.warning(
                "No index of vectors can be kept, so that every search reads all of them. Make place in the cache "
                "folder, or set XDG_CACHE_HOME to one that can be written. (%s)", error.strerror,
            )  # fmt: skip
            self._indexed = None
            return None


_shared: OrderedDict[tuple[str, str, str, str, int], SentenceSearch] = OrderedDict()
_shared_lock = threading.Lock()


def shared_search(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, cache_bytes: int = CACHE_BYTES
) -> SentenceSearch:
    """Return this process's search over a lake's encoding: opened once per catalog version; the oldest are dropped."""
    version = f"{snapshot.catalog_version} {snapshot.epoch}"
    key = (str(lake.root), snapshot.lake_id, encoding.encoding_id, version, cache_bytes)
    with _shared_lock:
        if key not in _shared:
            # Older versions of the same vectors go first: they are not needed again.
            for old in [other for other in _shared if other[:3] == key[:3]]:
                del _shared[old]
            while len(_shared) >= _SHARED_LIMIT:
                _shared.popitem(last=False)
            _shared[key] = SentenceSearch(snapshot, lake, encoding, cache_bytes=cache_bytes)
        return _shared[key]
