"""A file of the web as a source, one an address, and as a file: its state is what its server says of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from urllib.parse import unquote

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.archives import archive_of
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.formats import format_of, may_be_read
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.readers import read_opened
from polyseme.tasks.reading.skipped import EXCLUDED, Skipped
from polyseme.tasks.reading.source import Listed, Source
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.reading.web_files import Version, address_of, download, version

MOST_BYTES = 8 << 30
"""A larger file is not downloaded. Readers have bounds of their own; this one is for an answer that never ends."""
SETTLED_NS = 60_000_000_000
"""How long before it is asked for a file without an ETag must have changed: servers count seconds."""
_LONGEST_STAMP = 200
_SUFFIXES = {
    "text/html": ".html", "application/xhtml+xml": ".html", "text/plain": ".txt", "text/markdown": ".md",
    "text/csv": ".csv", "text/tab-separated-values": ".tsv", "application/json": ".json", "text/xml": ".xml",
    "application/xml": ".xml", "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl",
    "application/pdf": ".pdf", "application/epub+zip": ".epub", "application/rtf": ".rtf", "message/rfc822": ".eml",
    "application/zip": ".zip", "application/vnd.apache.parquet": ".parquet", "application/warc": ".warc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
}  # fmt: skip
"""What a server calls a file whose name does not say its format."""


@dataclass(frozen=True, slots=True)
class WebSource(Source):
    """A file of the web. `target` is its address, `found` what its server said of it, or why it did not.

    It is `absent` if the server has no such file.
    """

    found: Version | OSError | None = field(default=None, compare=False, kw_only=True)

    @property
    def single(self) -> str:
        """The address."""
        return self.target

    @property
    def is_left_out(self) -> bool:
        """Whether the patterns leave the file out, which they know by its last name."""
        return bool(self.patterns) and self.patterns.leave_out(_name(self.target))

    @property
    def prefix(self) -> str:
        """The address."""
        return self.target

    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[Listed]:
        """Yield the file, or that it cannot be had; nothing if there is none."""
        if self.is_left_out:
            yield Skipped(self.target, EXCLUDED)
        elif isinstance(self.found, Version):
            yield WebFile(self.target, options, reading=reading, found=self.found, at=time.time_ns())
        elif self.found is not None:
            message = f"cannot be had: {self.found.strerror}. Its documents are kept; run again"
            yield Place(self.target, "", self.target).refuse("unreadable", message)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this file."""
        return self.reaches(uri) and not self.is_left_out

    def reaches(self, uri: str) -> bool:
        """Return whether an address is that of this file, or of something in it."""
        return archive_of(uri) == self.target

    def scans(self, uri: str) -> bool:
        """Return whether rejects of `uri` by earlier scans are replaced by a scan of this file."""
        return self.covers(uri)

    def holds(self, lake: Lake) -> bool:
        """Return False: a lake is not on the web."""
        return False

    def contains(self, name: str) -> bool:
        """Return False: a file has no sources in it."""
        return False


class WebFile(SourceFile):
    """A file of the web, which was asked for at the time `at`."""

    __slots__ = ("_at", "_found")

    def __init__(self, address: str, options: ReadOptions, *, reading: str, found: Version, at: int) -> None:
        super().__init__(address, options, reading=reading)
        self._found, self._at = found, at

    def state(self) -> FileState | None:
        """Return what the server said of the file when it was asked; None if it does not say when it changes."""
        found = self._found
        if not found.tag:
            return None
        stamp = found.tag if len(found.tag) <= _LONGEST_STAMP else hashlib.sha256(found.tag.encode()).hexdigest()
        return FileState(found.size or 0, found.modified_ns or 0, stamp)

    def is_settled(self, state: FileState, began: int) -> bool:
        """Return whether a file that is written again would have another ETag or another date."""
        return state.stamp.startswith('"') or state.modified_ns + SETTLED_NS <= self._at

    def dated(self, document: Document, state: FileState) -> Document:
        """Return the document with what the server said of its file."""
        at = self._found.modified_ns
        modified = None if at is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1000)
        return replace(document, modified_at=modified, bytes=self._found.size)

    def content(self, answers: Answers | None) -> Iterator[Document | Reject | Skipped]:
        """Yield what is in the file, which is downloaded first."""
        name = _name(self.uri)
        if format_of(name) is None:
            kind = self._found.content_type.partition(";")[0].strip().lower()
            name = name + _SUFFIXES[kind] if kind in _SUFFIXES else name if may_be_read(name) else name.split(".")[0]
        return read_opened(self._open, name, self.uri, self.options, parsers=self.parsers)

    def _open(self) -> BinaryIO:
        return download(self.uri, most=MOST_BYTES)


def resolve_web(spec: str, *, known: Callable[[Source], bool] = lambda source: False) -> WebSource:
    """Return the source that an address of the web means, after its server was asked once.

    Raises UsageError for one that cannot be had, unless it is `known`.
    """
    if not is_utf8(spec) or any(ord(character) < 32 for character in spec):
        raise UsageError(f"source {spec!r} has bytes that are not UTF-8, or control characters, in it")
    source = WebSource(spec, "web", address_of(spec))
    try:
        return replace(source, found=version(source.target))
    except FileNotFoundError as error:
        if known(source):
            return replace(source, absent=True)
        raise UsageError(f"source {spec!r} does not exist: {error.strerror}") from error
    except OSError as error:
        if known(source):
            return replace(source, found=error)
        raise UsageError(f"source {spec!r} cannot be had: {error.strerror}") from error


def _name(address: str) -> str:
    """Return the last name in an address; of a home page `index`, since the end of a host is no suffix."""
    path = address.partition("://")[2].partition("/")[2].rstrip("/")
    return unquote(path.rpartition("/")[2]).replace("/", "_") if path else "index"
