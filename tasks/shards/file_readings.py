"""Readings: what reading each file of a scan gave, kept in the catalog so that the next scan need not open it.

A file of which anything was refused is not kept, and is read every time: its rejects are made again by each run. Nor is
one that may have changed while it was read. What is kept may be of documents that never reach the catalog, because the
run is killed: see `unopened_files`, which compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses, read_files
from polyseme.storage.database.read_files import MEMBER
from polyseme.storage.records import Document, DocumentVersion
from polyseme.storage.source_files import DocumentsDigest, ReadFile, SkippedPart
from polyseme.tasks.reading.skipped import Skipped, extension_of
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.shards.identity import is_derived

_FILES_A_TRANSACTION = 1000
MOST_KINDS_OF_A_FILE = 100
"""A file with more kinds of members that are not read, by extension and reason, is read every time."""


@dataclass(slots=True)
class _Reading:
    """A file that is being read, and its documents so far. Not `is_whole` once anything of it was refused.

    If only what is new is read, the documents that it has from `earlier` runs are among them.
    """

    file: SourceFile
    earlier: ReadFile | None
    digest: DocumentsDigest
    uris: set[str] = field(default_factory=set)
    skipped: dict[tuple[str, str], SkippedPart] = field(default_factory=dict)
    is_whole: bool = True


@dataclass
class FileReadings:
    """The files that a scan reads, one after another. Documents may be compared with the catalog in batches, later."""

    catalog: Catalog
    encoding_id: str
    _current: _Reading | None = None
    _by_uri: dict[str, _Reading] = field(default_factory=dict)
    """The files that are not kept yet, by the addresses of their documents."""
    _ended: list[_Reading] = field(default_factory=list)
    _waiting: list[ReadFile] = field(default_factory=list)

    def begin(self, file: SourceFile, earlier: ReadFile | None = None) -> None:
        """Note that what is taken from now on is of a file, or is what is new in it since an earlier reading."""
        self._current = _Reading(file, earlier, DocumentsDigest(earlier))

    def take(self, document: Document) -> None:
        """Note a document that was read, with the id that it has in the file."""
        if (reading := self._current) is None:
            return
        file = reading.file.uri
        if document.uri not in reading.uris:
            reading.uris.add(document.uri)
            self._by_uri[document.uri] = reading
            reading.is_whole = reading.is_whole and (document.uri == file or document.uri.startswith(file + MEMBER))
        # A record whose id looks like an address is refused or not as the other sources of a run have it.
        if document.doc_id.startswith(addresses.DERIVED) and not is_derived(document):
            reading.is_whole = False

    def skip(self, skipped: Skipped) -> None:
        """Note that the file that is being read, or a part of it, is not one to read."""
        if (reading := self._current) is None:
            return
        kind = (extension_of(skipped.uri), skipped.reason)
        part = reading.skipped.get(kind) or SkippedPart(skipped.uri, skipped.reason, 0)
        reading.skipped[kind] = replace(part, files=part.files + 1)
        if len(reading.skipped) > MOST_KINDS_OF_A_FILE:
            reading.is_whole = False

    def refuse(self) -> None:
        """Note that something of the file that is being read was refused."""
        if self._current is not None:
            self._current.is_whole = False

    def refuse_document(self, uri: str) -> None:
        """Note that a document that was taken was refused, at this address."""
        if (reading := self._by_uri.get(uri)) is not None:
            reading.is_whole = False

    def end(self) -> None:
        """Note that no more is taken of the file."""
        if self._current is not None:
            self._ended.append(self._current)
            self._current = None

    def compared(self, document: Document, record_sha256: str, before: DocumentVersion | None) -> None:
        """Note a document with the id that it has in the lake, and what the lake had with this id before."""
        if (reading := self._by_uri.get(document.uri)) is not None:
            member = document.uri[len(reading.file.uri) :]
            if reading.earlier is not None and before is not None and before.uri == document.uri:
                reading.digest.remove(document.doc_id, before.record_sha256, member)
            reading.digest.add(document.doc_id, record_sha256, member)

    def keep(self) -> None:
        """Keep the files that have ended, of which all documents were compared."""
        for reading in self._ended:
            for uri in reading.uris:
                if self._by_uri.get(uri) is reading:
                    del self._by_uri[uri]
            if reading.is_whole and reading.file.as_read is not None and self._fits(reading.file.uri):
                self._waiting.append(_read_file(reading))
        self._ended = []
        if len(self._waiting) >= _FILES_A_TRANSACTION:
            self.finish()

    def finish(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            with self.catalog.writing() as connection:
                read_files.put(connection, self.encoding_id, self._waiting)
            self._waiting = []

    def _fits(self, uri: str) -> bool:
        return self.catalog.longest_key is None or len(uri) <= self.catalog.longest_key


def _read_file(reading: _Reading) -> ReadFile:
    file = reading.file
    assert file.as_read is not None
    return ReadFile(
        uri=file.uri,
        state=file.as_read,
        reading=file.reading,
        documents=reading.digest.documents,
        digest=reading.digest.value,
        has_members=bool(reading.uris - {file.uri}),
        skipped=tuple(reading.skipped.values()),
    )
