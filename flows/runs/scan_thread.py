"""The scan of a run in a thread of its own: it stages shards while Prefect starts and while others are encoded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from polyseme.flows.runs.progress import Progress
from polyseme.storage.records import Document, Shard
from polyseme.tasks.shards.scan import Item, Scan

_LONGEST_WAIT = 5.0
"""Seconds to wait for a scan that is to stop: standard input may never end."""


class ScanThread:
    """Scans `items`, up to and including document number `limit`, and records in `progress` how much there is to do."""

    def __init__(
        self, scan: Scan, items: Callable[[], Iterator[Item]], *, limit: int | None, progress: Progress
    ) -> None:
        self.scan, self.progress = scan, progress
        progress.tally, progress.reading = scan.tally, scan.reading
        self._items, self._limit = items, limit
        self._staged: queue.SimpleQueue[Shard | BaseException | None] = queue.SimpleQueue()
        self._decided = threading.Event()
        """Set once a document is to be encoded, or the scan is over."""
        self._over = False
        self._thread: threading.Thread | None = None
        self.seconds: float | None = None
        """How long the scan took; None before it has ended."""

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="polyseme-scan", daemon=True)
            self._thread.start()

    def has_work(self) -> bool:
        """Wait until a document is found that is to be encoded, or the scan is over; return whether there is one."""
        self.start()
        self._decided.wait()
        return _to_encode(self.scan)

    def queued(self) -> int:
        """Return how many shards are staged and wait to be taken."""
        return self._staged.qsize()

    def shards(self) -> Iterator[Shard]:
        """Yield shards as the thread stages them, each once; raise what it raised."""
        self.start()
        while not self._over:
            item = self._staged.get()
            self._over = not isinstance(item, Shard)
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                yield item

    def wait(self) -> None:
        """Return once the thread has ended: after the last shard, or soon after `progress.stop`."""
        if self._thread is not None:
            self._thread.join(timeout=_LONGEST_WAIT)

    def _run(self) -> None:
        try:
            self.scan.watching = self._watched
            for shard in self.scan.shards(first(self._items(), self._limit)):
                self.progress.chars_planned = self.scan.tally.chars_to_encode
                self._staged.put(shard)
            self.progress.chars_planned, self.progress.planned = self.scan.tally.chars_to_encode, True
            self._staged.put(None)
        except BaseException as error:
            self._staged.put(error)
        finally:
            self.seconds = self.progress.seconds
            self._decided.set()

    def _watched(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items until the run is stopped, and decide as soon as the scan has compared one that is to be encoded.

        The scan calls it for the items of each file too.
        """
        for item in items:
            if self.progress.stopped:
                return
            if _to_encode(self.scan):
                self._decided.set()
            yield item


def _to_encode(scan: Scan) -> bool:
    return bool(scan.tally.new or scan.tally.changed)


def first(items: Iterable[Item], limit: int | None) -> Iterator[Item]:
    """Yield items up to and including document number `limit`. With a limit, none of them may be a file."""
    documents = 0
    for item in items:
        yield item
        documents += isinstance(item, Document)
        if documents == limit:
            return
