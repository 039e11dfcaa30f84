"""An object as a file: its state is what the listing said of it, its content is fetched ahead of its turn if small."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import BinaryIO

from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.object_store import SMALL_BYTES, ObjectStore, Stored
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.parsing.pool import FETCHED_AHEAD, Parsers
from polyseme.tasks.reading.readers import is_parsed, read_opened, request_to_parse
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source_file import SourceFile, Started

SETTLED_NS = 60_000_000_000
"""How long before the listing an object must have changed: stores count seconds, by a clock of their own."""
_STAMP = "listed"


class ObjectFile(SourceFile):
    """An object that a listing, which began at `listed_ns`, had."""

    __slots__ = ("_fetched", "_listed_ns", "_store", "_stored")

    def __init__(
        self, store: ObjectStore, stored: Stored, options: ReadOptions, *, reading: str, listed_ns: int
    ) -> None:
        super().__init__(store.uri(stored.key), options, reading=reading)
        self._store, self._stored, self._listed_ns = store, stored, listed_ns
        self._fetched: Future[bytes] | None = None

    @property
    def most_waiting(self) -> int:
        """How many files may be started before the first of them is read."""
        return FETCHED_AHEAD

    def state(self) -> FileState | None:
        """Return the state of the object when it was listed; None if its store does not say when it changes."""
        size, modified_ns, stamp = self._stored[1:]
        return FileState(size, modified_ns or 0, stamp or _STAMP) if modified_ns is not None or stamp else None

    def is_settled(self, state: FileState, began: int) -> bool:
        """Return whether an object that is written again would have another time."""
        return bool(self._stored.stamp) or state.modified_ns + SETTLED_NS <= self._listed_ns

    def dated(self, document: Document, state: FileState) -> Document:
        """Return the document with the size of its object, and the time of its last change if the store tells it."""
        if self._stored.modified_ns is None:
            return replace(document, bytes=state.size)
        return super().dated(document, state)

    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Fetch the object if it is small, let `parsers` parse it if it has to be; return its size, 0 if neither."""
        self.lend(parsers)
        size, name = self._stored.size, self._name
        if not 0 < size <= min(SMALL_BYTES, most_bytes):
            return 0
        fetched = self._fetched = parsers.fetch(lambda: self._store.whole(self._stored.key))
        if is_parsed(name):
            answers = parsers.submit_later(lambda: request_to_parse(name, fetched.result(), self.options))
            self.started = Started(0, self.state(), answers)
        return size

    def content(self, answers: Answers | None) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the object."""
        if answers is not None and answers.exception() is not None:
            answers = None  # it is no file to parse, or was not fetched: which opening it tells
        in_ranges = self._fetched is None
        yield from read_opened(self._open, self._name, self.uri, self.options, parsers=self.parsers, answers=answers)
        if in_ranges and self._is_another():
            message = "was written again while it was read: what was read may be of both; run again"
            yield Place(self.uri, "", self.uri).refuse("unreadable", message)

    def _is_another(self) -> bool:
        """Return whether the object is not the one that was listed any more, after it was read in ranges."""
        try:
            found = self._store.object(self._stored.key)
        except OSError:
            return True
        return found != [self._stored]

    def _open(self) -> BinaryIO:
        fetched, self._fetched = self._fetched, None
        return self._store.open(self._stored.key) if fetched is None else io.BytesIO(fetched.result())

    @property
    def _name(self) -> str:
        return self._stored.key.rpartition("/")[2]
