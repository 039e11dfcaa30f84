"""What a process keeps of the lakes that it asks: for each encoding that of the latest version alone, and of few."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake

T = TypeVar("T")


class Shared(Generic[T]):
    """Values by lake, encoding and version of the catalog, at most `limit`; the oldest are dropped. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[Hashable, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, snapshot: Snapshot, lake: Lake, encoding: Encoding, make: Callable[[], T], *, of: Hashable = None
    ) -> T:
        """Return the value of a snapshot's encoding, made at the first call. `of` tells an encoding's values apart."""
        version = f"{snapshot.catalog_version} {snapshot.epoch}"
        key = (str(lake.root), snapshot.lake_id, encoding.encoding_id, version, of)
        with self._lock:
            if key not in self._kept:
                # Older versions of the same encoding go first: they are not needed again.
                for old in [other for other in self._kept if other[:3] == key[:3]]:
                    del self._kept[old]
                while len(self._kept) >= self._limit:
                    self._kept.popitem(last=False)
                self._kept[key] = make()
            return self._kept[key]
