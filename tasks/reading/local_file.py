"""A file of this machine. Knows no catalog and no folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.readers import is_parsed, read_file, start_parsing
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source_file import SourceFile, Started

SETTLED_NS = 2_000_000_000
"""How old a change must be for the next one to have another time: FAT counts two seconds, HFS+ and some servers one.

A file that is read right after it was written could be written again with the same size in the same tick of the clock.
"""


class LocalFile(SourceFile):
    """A file at an absolute path, of which `uri` is the address."""

    __slots__ = ("_path",)

    def __init__(self, path: str, uri: str, options: ReadOptions, *, reading: str) -> None:
        super().__init__(uri, options, reading=reading)
        self._path = path

    def state(self) -> FileState | None:
        """Return the state of the file now, None if it cannot be told. Opens nothing."""
        try:
            found = os.stat(self._path)
        except (OSError, ValueError):
            return None
        return FileState(found.st_size, found.st_mtime_ns, f"{found.st_ctime_ns} {found.st_ino}")

    def content(self, answers: Answers | None) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the file."""
        return read_file(Path(self._path), self.uri, self.options, parsers=self.parsers, answers=answers)

    def is_settled(self, state: FileState, began: int) -> bool:
        """Return whether a later change would show: the last one was not just before the file was read, or later."""
        changed = int(state.stamp.partition(" ")[0])
        return max(state.modified_ns, changed) + SETTLED_NS <= began

    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Let `parsers` parse the file if it has to be and is not larger; return its size in bytes if so, else 0."""
        self.lend(parsers)
        if not is_parsed(self._path):
            return 0
        began, before = time.time_ns(), self.state()
        answers, size = start_parsing(Path(self._path), self.options, parsers, most_bytes=most_bytes)
        if answers is not None:
            self.started = Started(began, before, answers)
        return size
