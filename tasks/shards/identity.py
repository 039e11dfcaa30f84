"""Identity: which document of the lake a file or a record without an id is, although its address has changed.

The id of such a document begins with the address at which its file was first read, its base, and keeps it when the file
or its folder is renamed, moved or named by a link. That is decided for a file as a whole, for every encoding: all its
records have one base. A file is recognised by a record that it had under the same file name, if its old address is gone
or leads to the same file; a copy has a base of its own.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from typing import TYPE_CHECKING

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.storage.records import Document, DocumentVersion, Reject
from polyseme.tasks.reading.documents import NAMED_PARTS, part_fragment
from polyseme.tasks.shards.presence import Presence, is_place, is_same

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ADDRESS = re.compile(
    r"((?:file:///|(?:s3|gs|az|hf)://)[^?#]*|stdin:[A-Za-z0-9._-]*)(?:\?\d+)?(#\d+|#(?:sheet|message)=[^#]*)?"
)
"""An id that was derived: an address, a number if the address was taken, and the number or the name of a record."""


def address_in(doc_id: str) -> str | None:
    """Return the address that an id is derived from; None for the id of a record."""
    match = _ADDRESS.fullmatch(doc_id)
    return match[1] if match else None


def is_derived(read: Document | Reject) -> bool:
    """Return whether the id of a document or refused record that was just read is its own address."""
    if read.doc_id is None or not read.doc_id.startswith(read.uri):
        return False
    return read.doc_id == read.uri + _fragment(read)


def is_impostor(
    read: Document | Reject, covers: Callable[[str], bool], has_moved: Callable[[str, str], bool] = lambda *_: False
) -> bool:
    """Return whether a record's id is the address of another record or file of the same sources.

    `has_moved(uri, now)` tells whether what was at an address is gone from there: a file whose record has the address
    of the file as its id takes that along.
    """
    if read.doc_id is None or not read.doc_id.startswith(addresses.DERIVED) or is_derived(read):
        return False
    address = address_in(read.doc_id)
    if address is None or (address != read.uri and not covers(address)):
        return False
    return not (_is_named_alike(address, read.uri) and has_moved(address, read.uri))


@dataclass(slots=True)
class Identities:
    """Finds the documents of one scan in the lake. `seen` tells whether an id was read before in it."""

    catalog: Catalog
    covers: Callable[[str], bool]
    seen: Callable[[str], bool]
    presence: Presence = field(default_factory=Presence)
    _last: tuple[str, str] = ("", "")
    """The file with which the batch before ended, and its base: the next batch may go on with it."""
    _has_strangers: bool = False
    """Whether a file had the base of another address, which might be read later."""

    def settled(
        self, batch: Sequence[Document], refused: Sequence[Reject], known: Mapping[str, DocumentVersion]
    ) -> tuple[list[Document], list[str]]:
        """Return the documents of a batch with their ids in the lake, and those of refused records without own ids.

        `known` are the documents that the run's encoding has with the ids of the batch.
        """
        files: dict[str, list[Document]] = {}
        for document in batch:
            if is_derived(document):
                files.setdefault(document.uri, []).append(document)
        records = {r.doc_id: r.uri for r in refused if r.doc_id is not None and is_derived(r)}
        bases = self._bases(files | {uri: files.get(uri, []) for uri in records.values()}, known)
        if files:
            last = next(reversed(files))
            self._last = last, bases[last]
        named = [
            replace(d, doc_id=bases[d.uri] + _fragment(d)) if is_derived(d) and bases[d.uri] != d.uri else d
            for d in batch
        ]
        return named, [bases[uri] + doc_id[len(uri) :] for doc_id, uri in records.items()]

    def is_of_a_file(self, doc_id: str, uri: str, here: str) -> bool:
        """Return whether the id of a record at `here` is that of a file, which the lake has at `uri`.

        Such a file has the id's address, or had it before it was moved. The record is not of it, also if it has moved.
        """
        address = address_in(doc_id)
        if address is None or uri == here or not _is_named_alike(address, uri):
            return False
        return not (_is_named_alike(uri, here) and self.presence.has_moved(uri, here))

    def meet_stranger(self) -> None:
        """Note that a file which is not read has the base of another address, which might be read later."""
        self._has_strangers = True

    def _bases(self, files: Mapping[str, list[Document]], known: Mapping[str, DocumentVersion]) -> dict[str, str]:
        """Return the base of each file, given with its records of the batch."""
        bases = {uri: base for uri, base in (self._last,) if uri in files}
        for uri, documents in files.items():
            was = (known.get(document.doc_id) for document in documents)
            if uri not in bases and any(v and v.uri == uri for v in was) and not self._is_taken(uri, documents):
                bases[uri] = uri
        open_ = {uri: documents for uri, documents in files.items() if uri not in bases}
        if open_:
            # In one snapshot: another run may move the same file meanwhile.
            with self.catalog.reading() as connection:
                bases |= self._at_the_same_address(connection, open_)
                bases |= self._moved(connection, {uri: open_[uri] for uri in open_ if uri not in bases})
                bases |= self._new(connection, {uri: open_[uri] for uri in open_ if uri not in bases})
            self._has_strangers = self._has_strangers or any(bases[uri] != uri for uri in open_)
        return bases

    def _at_the_same_address(self, connection: Connection, files: Mapping[str, list[Document]]) -> dict[str, str]:
        """Return the bases of documents that some encoding has at the address of a file."""
        found: dict[str, str] = {}
        for uri, ids in addresses.ids_at(connection, sorted(files)).items():
            # Its own first. The other is of a file that moved there.
            bases = sorted(_bases_among(ids, uri), key=lambda base: (base != uri, base))
            if not bases:  # records have ids that are addresses
                bases = sorted(_bases_among(addresses.all_ids_at(connection, uri), uri))
            free = [base for base in bases if not self._is_taken(base, files[uri])]
            if free:
                found[uri] = free[0]
        return found

    def _moved(self, connection: Connection, files: Mapping[str, list[Document]]) -> dict[str, str]:
        """Return the bases of files whose records the lake has at an address that is gone or is the same file."""
        records = sorted({document.record_sha256 for documents in files.values() for document in documents})
        alike = addresses.documents_like(connection, records)
        everywhere = addresses.addresses_of(connection, sorted({doc_id for doc_id, _, _ in alike}))
        by_record: dict[str, set[str]] = {}
        for doc_id, _, record in alike:
            by_record.setdefault(record, set()).add(doc_id)
        found: dict[str, str] = {}
        for uri, documents in files.items():
            votes, near = Counter[str](), dict[str, int]()
            for document in documents:
                for doc_id in by_record.get(document.record_sha256, ()):
                    if self._is_moved(document, doc_id, everywhere.get(doc_id, set())):
                        base = base_of(doc_id) or ""
                        votes[base] += 1
                        near[base] = max(_common_names(old, uri) for old in everywhere[doc_id])
            bases = sorted(votes, key=lambda base: (-votes[base], -near[base], base))
            taken = found.values()
            free = [base for base in bases if base not in taken and not self._is_taken(base, documents)]
            if free:
                found[uri] = free[0]
        return found

    def _is_moved(self, document: Document, doc_id: str, uris: Collection[str]) -> bool:
        """Return whether a document is the one that the lake has with the same record at other addresses."""
        match = _ADDRESS.fullmatch(doc_id)
        if match is None or (match[2] or "") != _fragment(document) or not uris:
            return False
        if document.uri.startswith(addresses.STDIN):
            return uris == {addresses.STDIN}
        return all(self._is_from(uri, document.uri) for uri in uris)

    def _is_from(self, uri: str, here: str) -> bool:
        """Return whether the file at `here` may have been at `uri` before."""
        if not (is_place(uri) and is_place(here) and _is_named_alike(uri, here)):
            return False
        if not self.presence.is_there(uri):
            return True
        # If this scan reads the old address too, the document will be found there.
        return not self.covers(uri) and is_same(uri, here)

    def _new(self, connection: Connection, files: Mapping[str, list[Document]]) -> dict[str, str]:
        """Return bases of files that the lake does not have: the address, or with a number if others have that."""
        found: dict[str, str] = {}
        for number in count(1):
            bases = {uri: uri if number == 1 else f"{uri}?{number}" for uri in files if uri not in found}
            if not bases:
                break
            elsewhere = addresses.addresses_under(connection, sorted(bases.values()))
            for uri, base in bases.items():
                held = any(self.presence.is_elsewhere(old, uri) for old in elsewhere.get(base, ()))
                if not held and not self._is_taken(base, files[uri]):
                    found[uri] = base
        return found

    def _is_taken(self, base: str, documents: Sequence[Document]) -> bool:
        """Return whether another file of this scan has the base already."""
        return self._has_strangers and any(self.seen(base + _fragment(document)) for document in documents)


def _bases_among(doc_ids: Collection[str], uri: str) -> set[str]:
    """Return the bases that a file may have: moved or not, it has its name."""
    found = {base for base in map(base_of, doc_ids) if base is not None}
    return {base for base in found if not is_place(uri) or _is_named_alike(address_in(base) or "", uri)}


def _is_named_alike(uri: str, other: str) -> bool:
    return os.path.basename(uri) == os.path.basename(other)


def _common_names(uri: str, other: str) -> int:
    """Return how many of the last names of two addresses are equal."""
    pairs = zip(reversed(uri.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def base_of(doc_id: str) -> str | None:
    """Return what a derived id has before the number of its record; None for the id of a record."""
    match = _ADDRESS.fullmatch(doc_id)
    return match and (doc_id if match[2] is None else doc_id[: match.start(2)])


def _fragment(read: Document | Reject) -> str:
    kind, _, name = read.locator.partition(" ")
    if kind in NAMED_PARTS:
        return "#" + part_fragment(kind, name)
    number = read.locator.rpartition(" ")[2]
    return f"#{number}" if number.isdecimal() else ""
