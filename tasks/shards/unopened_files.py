"""Unopened files: which files of a scan need not be read, because what reading them would give is in the catalog.

A file stays closed if it is in the state in which it was read before, with the same options, and the documents that the
catalog has of it now are those that it gave, with every output that is asked for. So whatever happened since (a run
that was killed, a deletion, a repair, a restored catalog, a document that is elsewhere now) leads to reading. Decides
nothing about documents: the scan counts those of a file that stays closed as if it had read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses, read_files
from polyseme.storage.database.read_files import DocumentAt
from polyseme.storage.records import Document, Outputs, Reject
from polyseme.storage.source_files import DocumentsDigest, ReadFile
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.shards.identity import base_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

FILES_A_LOOKUP = 1000
MOST_HELD = 1000
"""Documents of which the ids are in memory at once. A file with more is looked up alone, twice."""
_IdAndUri = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Unopened:
    """A file that need not be read, with what the catalog has of it; None if that is too much to hold."""

    file: SourceFile
    kept: ReadFile
    stored: _Stored | None

    most_waiting = None

    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Let `parsers` parse what is in the file, should it be read after all; no process starts before that."""
        self.file.lend(parsers)
        return 0

    @property
    def only(self) -> _IdAndUri | None:
        """The `(doc_id, uri)` of the file's only document; None for another number, or if the file has moved."""
        stored = self.stored
        return stored.ids[0] if stored is not None and len(stored.ids) == 1 and not stored.strangers else None


@dataclass(frozen=True, slots=True)
class Unread:
    """The documents of a file that is not read: `documents` returns their `(doc_id, uri)`, each time the same.

    `has_moved` if their ids begin with another address, which the file had before.
    """

    documents: Callable[[], Iterable[_IdAndUri]]
    has_moved: bool


@dataclass(slots=True)
class _Stored:
    """What the catalog has of one file: a digest of its documents, and the bases of other addresses among their ids."""

    ids: list[_IdAndUri] = field(default_factory=list)
    digest: DocumentsDigest = field(default_factory=DocumentsDigest)
    strangers: dict[str, set[str]] = field(default_factory=dict)
    has_outputs: bool = True

    def add(self, row: DocumentAt, file: str, outputs: Outputs) -> None:
        uri, doc_id, record, has = row
        self.digest.add(doc_id, record, uri[len(file) :])
        self.has_outputs = self.has_outputs and has.covers(outputs)
        if doc_id != uri and (base := base_of(doc_id)) is not None and base != uri:
            self.strangers.setdefault(uri, set()).add(base)

    def is_of(self, kept: ReadFile) -> bool:
        """Return whether these are just the documents that the file gave, with their outputs."""
        digest = self.digest
        return self.has_outputs and digest.documents == kept.documents and digest.value == kept.digest


@dataclass(frozen=True, slots=True)
class UnopenedFiles:
    """Finds the files that a run in one encoding need not read, for documents with these `outputs`."""

    catalog: Catalog
    encoding_id: str
    outputs: Outputs

    def chosen(
        self, items: Iterable[SourceFile | Document | Reject | Skipped]
    ) -> Iterator[SourceFile | Unopened | Document | Reject | Skipped]:
        """Yield `items` in order, but for skipped files, with `Unopened` for each file that need not be read."""
        batch: list[SourceFile] = []
        for item in items:
            if isinstance(item, Skipped):
                yield item  # only counted, in whatever order
                continue
            if isinstance(item, SourceFile):
                batch.append(item)
                if len(batch) < FILES_A_LOOKUP:
                    continue
            yield from self._looked_up(batch)
            batch = []
            if not isinstance(item, SourceFile):
                yield item
        yield from self._looked_up(batch)

    @contextmanager
    def documents_of(self, unopened: Unopened) -> Iterator[Unread | None]:
        """Yield the documents of a file, for as long as they are the same; None if it did not give these after all."""
        if (held := unopened.stored) is not None:
            yield Unread(lambda: held.ids, bool(held.strangers))
            return
        file = unopened.kept.uri
        with self.catalog.reading() as connection:  # one snapshot
            stored = _Stored()
            for row in read_files.documents_in(connection, self.encoding_id, file):
                stored.add(row, file, self.outputs)
            if not stored.is_of(unopened.kept) or not _has_one_base(connection, stored.strangers):
                yield None
                return
            rows = partial(read_files.documents_in, connection, self.encoding_id, file)
            yield Unread(lambda: ((doc_id, uri) for uri, doc_id, *_ in rows()), bool(stored.strangers))

    def _looked_up(self, files: Sequence[SourceFile]) -> Iterator[SourceFile | Unopened]:
        if not files:
            return
        wanted = [file.uri for file in files if not file.options.checksum]
        with self.catalog.reading() as connection:
            kept = read_files.find(connection, self.encoding_id, wanted)
            same = {
                file.uri: kept[file.uri]
                for file in files
                if file.uri in kept and kept[file.uri].reading == file.reading and kept[file.uri].state == file.state()
            }
            found = self._stored(connection, same)
        for file in files:
            if file.uri in found or (file.uri in same and _is_large(same[file.uri])):
                yield Unopened(file, same[file.uri], found.get(file.uri))
            else:
                yield file

    def _stored(self, connection: Connection, same: dict[str, ReadFile]) -> dict[str, _Stored]:
        """Return what the catalog has of those files of which it has just the documents that they gave."""
        small = {uri: _Stored() for uri, kept in same.items() if not _is_large(kept)}
        for some in _bounded(small, same):
            for row in read_files.documents_at(connection, self.encoding_id, some):
                stored = small[row[0]]
                stored.add(row, row[0], self.outputs)
                # Of a file that has more documents now than it gave, no more are of interest.
                if len(stored.ids) <= MOST_HELD:
                    stored.ids.append((row[1], row[0]))
        found = {uri: stored for uri, stored in small.items() if stored.is_of(same[uri])}
        strangers = {uri: bases for stored in found.values() for uri, bases in stored.strangers.items()}
        if not _has_one_base(connection, strangers):
            found = {uri: s for uri, s in found.items() if _has_one_base(connection, s.strangers)}
        return found


def _is_large(kept: ReadFile) -> bool:
    return kept.has_members or kept.documents > MOST_HELD


def _bounded(uris: Iterable[str], kept: dict[str, ReadFile]) -> Iterator[list[str]]:
    """Yield addresses in lists of files that gave no more than so many documents together, or of one file."""
    some, documents = list[str](), 0
    for uri in uris:
        if some and documents + kept[uri].documents > MOST_HELD:
            yield some
            some, documents = [], 0
        some.append(uri)
        documents += kept[uri].documents
    if some:
        yield some


def _has_one_base(connection: Connection, strangers: dict[str, set[str]]) -> bool:
    """Return whether reading would give the documents at these addresses the bases that the catalog has there.

    So it does if no encoding has others there: see `Identities`.
    """
    if not strangers:
        return True
    found = addresses.ids_at(connection, sorted(strangers))
    bases = {uri: {base_of(doc_id) for doc_id in ids} for uri, ids in found.items()}
    return all(len(mine) == 1 and bases.get(uri) == mine for uri, mine in strangers.items())
