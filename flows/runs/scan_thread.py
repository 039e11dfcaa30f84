"""The scan of a run in a thread of its own: it stages shards while others are encoded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from polyseme.flows.runs.progress import Progress
from polyseme.storage.records import Document, Reject, Shard
from polyseme.tasks.shards.scan import Scan

_LONGEST_WAIT = 5.0
"""Seconds to wait for a scan that is to stop: standard input may never end."""


class ScanThread:
    """Scans `items`, up to and including document number `limit`, and records in `progress` how much there is to do."""

    def __init__(
        self, scan: Scan, items: Callable[[], Iterator[Document | Reject]], *, limit: int | None, progress: Progress
    ) -> None:
        self.scan, self.progress = scan, progress
        self._items, self._limit = items, limit
        self._staged: queue.SimpleQueue[Shard | BaseException | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def shards(self) -> Iterator[Shard]:
        """Start the thread and yield shards as it stages them; raise what it raised."""
        self._thread = threading.Thread(target=self._run, name="polyseme-scan", daemon=True)
        self._thread.start()
        while (item := self._staged.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def wait(self) -> None:
        """Return once the thread has ended: after the last shard, or soon after `progress.stop`."""
        if self._thread is not None:
            self._thread.join(timeout=_LONGEST_WAIT)

    def _run(self) -> None:
        try:
            items = _first(self._items(), self._limit, stopped=lambda: self.progress.stopped)
            for shard in self.scan.shards(items):
                self.progress.chars_planned = self.scan.tally.chars_to_encode
                self._staged.put(shard)
            self.progress.chars_planned, self.progress.planned = self.scan.tally.chars_to_encode, True
            self._staged.put(None)
        except BaseException as error:
            self._staged.put(error)


def _first(
    items: Iterable[Document | Reject], limit: int | None, *, stopped: Callable[[], bool]
) -> Iterator[Document | Reject]:
    """Yield items up to and including document number `limit`, or until `stopped`."""
    documents = 0
    for item in items:
        if stopped():
            return
        yield item
        documents += isinstance(item, Document)
        if documents == limit:
            return
