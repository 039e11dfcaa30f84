"""A file of a source: listed first, and opened only if somebody reads it. Knows no catalog.

Whoever reads it to its end learns in which state it was, unless it may have changed meanwhile or may still change
without a sign.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from unicodedata import unidata_version

from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.ahead import Startable
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.readers import is_parsed, start_parsing
from polyseme.tasks.reading.skipped import Skipped

Read = Callable[..., Iterator[Document | Reject | Skipped]]
"""`readers.read_file` of one file, which is told `parsers` and `answers`."""

SETTLED_NS = 2_000_000_000
"""How old a change must be for the next one to have another time: FAT counts two seconds, HFS+ and some servers one.

A file that is read right after it was written could be written again with the same size in the same tick of the clock.
"""
READERS = (
    "polyseme", "pyarrow", "orjson", "charset-normalizer", "kreuzberg", "resiliparse", "pypdfium2",
)  # fmt: skip
"""Packages that decide what reading a file gives. With another release of one, files are read again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Started(NamedTuple):
    """When a file began to be read, its state then, and what will be the answers of its parser if it has one."""

    at: int
    state: FileState | None
    answers: Answers | None


class SourceFile(Startable):
    """A file at the address `uri`, which `read` opens. `reading` stands for how it is read: see `reading_of`."""

    __slots__ = ("_parsers", "_path", "_read", "_started", "as_read", "options", "reading", "uri")

    def __init__(self, path: str, uri: str, options: ReadOptions, *, reading: str, read: Read) -> None:
        self._path, self._read = path, read
        self._parsers: Parsers | None = None
        self._started: _Started | None = None
        self.uri, self.options, self.reading = uri, options, reading
        self.as_read: FileState | None = None
        """The state in which the file was read, once it was read to its end; None if that is not certain."""

    def state(self) -> FileState | None:
        """Return the state of the file now, None if it cannot be told. Opens nothing."""
        try:
            found = os.stat(self._path)
        except (OSError, ValueError):
            return None
        return FileState(found.st_size, found.st_mtime_ns, f"{found.st_ctime_ns} {found.st_ino}")

    def lend(self, parsers: Parsers) -> None:
        """Let `parsers` parse what has to be, once the file is read."""
        self._parsers = parsers

    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Let `parsers` parse the file if it has to be and is not larger; return its size in bytes if so, else 0."""
        self.lend(parsers)
        if not is_parsed(self._path):
            return 0
        began, before = time.time_ns(), self.state()
        answers, size = start_parsing(Path(self._path), self.options, parsers, most_bytes=most_bytes)
        if answers is not None:
            self._started = _Started(began, before, answers)
        return size

    def read(self, *, now: Callable[[], int] = time.time_ns) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the file. `now` is the clock, in nanoseconds since 1970."""
        self.as_read = None
        started, self._started = self._started or _Started(now(), self.state(), None), None
        began, before = started.at, started.state
        for item in self._read(parsers=self._parsers, answers=started.answers):
            yield _dated(item, before) if before is not None and isinstance(item, Document) else item
        if before is not None and before == self.state() and _is_settled(before, began):
            self.as_read = before


def reading_of(options: ReadOptions) -> str:
    """Return 16 hex digits for the options and the packages that decide what reading a file gives."""
    settings = {name: value for name, value in asdict(options).items() if name != "checksum"}
    return hashlib.sha256(json.dumps([settings, _releases()], sort_keys=True).encode()).hexdigest()[:16]


def _dated(document: Document, state: FileState) -> Document:
    return replace(document, modified_at=_time(state.modified_ns), bytes=state.size)


@lru_cache(maxsize=16)
def _time(modified_ns: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=modified_ns // 1000)
    except OverflowError:  # before the year 1 or after 9999
        return None


def _is_settled(state: FileState, began: int) -> bool:
    """Return whether a later change of the file would show: its last one was not just before it was read, or later."""
    changed = int(state.stamp.partition(" ")[0])
    return max(state.modified_ns, changed) + SETTLED_NS <= began


@lru_cache(maxsize=1)
def _releases() -> dict[str, str | None]:
    return {"unicode": unidata_version, **{name: _release(name) for name in READERS}}


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
