"""A file of a source: listed first, and opened only if somebody reads it. Knows no catalog.

Whoever reads it to its end learns in which state it was, unless it may have changed meanwhile or may still change
without a sign.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple
from unicodedata import unidata_version

from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.ahead import Startable
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.skipped import Skipped

READERS = (
    "polyseme", "pyarrow", "orjson", "charset-normalizer", "kreuzberg", "resiliparse", "pypdfium2", "fastwarc",
    "deltalake", "pyiceberg",
)  # fmt: skip
"""Packages that decide what reading a file gives. With another release of one, files are read again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Started(NamedTuple):
    """When a file began to be read, its state then, and what will be the answers of its parser if it has one."""

    at: int
    state: FileState | None
    answers: Answers | None = None


class SourceFile(Startable):
    """A file at the address `uri`, which `read` opens. `reading` stands for how it is read: see `reading_of`.

    Each kind of source has a class of its own, which knows the state of its files, opens them and may start to.
    """

    __slots__ = ("as_read", "options", "parsers", "reading", "started", "uri")

    def __init__(self, uri: str, options: ReadOptions, *, reading: str) -> None:
        self.uri, self.options, self.reading = uri, options, reading
        self.parsers: Parsers | None = None
        self.started: Started | None = None
        self.as_read: FileState | None = None
        """The state in which the file was read, once it was read to its end; None if that is not certain."""

    def state(self) -> FileState | None:
        """Return the state of the file now, None if it cannot be told. Opens nothing."""
        raise NotImplementedError

    def content(self, answers: Answers | None) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the file, which was parsed already if there are `answers`."""
        raise NotImplementedError

    def is_settled(self, state: FileState, began: int) -> bool:
        """Return whether a later change would show in the state, for a file that began to be read at `began`."""
        raise NotImplementedError

    def dated(self, document: Document, state: FileState) -> Document:
        """Return a document of the file with the time of its last change and its size."""
        return replace(document, modified_at=_time(state.modified_ns), bytes=state.size)

    def lend(self, parsers: Parsers) -> None:
        """Let `parsers` parse what has to be, once the file is read."""
        self.parsers = parsers

    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Start what takes long if the file is not larger; return its size in bytes if so, else 0."""
        self.lend(parsers)
        return 0

    def read(self, *, now: Callable[[], int] = time.time_ns) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the file. `now` is the clock, in nanoseconds since 1970."""
        self.as_read = None
        started, self.started = self.started or Started(now(), self.state()), None
        began, before = started.at, started.state
        for item in self.content(started.answers):
            yield self.dated(item, before) if before is not None and isinstance(item, Document) else item
        if before is not None and before == self.state() and self.is_settled(before, began):
            self.as_read = before


def reading_of(options: ReadOptions) -> str:
    """Return 16 hex digits for the options and the packages that decide what reading a file gives."""
    settings = {name: value for name, value in asdict(options).items() if name != "checksum"}
    return hashlib.sha256(json.dumps([settings, _releases()], sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=16)
def _time(modified_ns: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=modified_ns // 1000)
    except OverflowError:  # before the year 1 or after 9999
        return None


@lru_cache(maxsize=1)
def _releases() -> dict[str, str | None]:
    return {"unicode": unidata_version, **{name: _release(name) for name in READERS}}


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
