"""Identity: which document of the lake a file or a record without an id is, although its address has changed.

Such a document has the address at which it was first read as its id, and keeps it when its file or folder is renamed,
moved or named by a link. Recognised by the same record under the same file name, if the old address is gone or leads to
the same file; a copy is another document.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import takewhile
from urllib.parse import unquote_to_bytes

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.storage.records import Document, DocumentVersion, Reject

_ADDRESS = re.compile(r"(file:///[^?#]*|stdin:[A-Za-z0-9._-]*)(?:\?\d+)?(#\d+)?")
"""An id that was derived: an address, the run if the address was taken, and the number of a record."""
_UNNAMED_STDIN = "stdin:"
_MOST_FILES = 4096


def address_in(doc_id: str) -> str | None:
    """Return the address that an id is derived from; None for the id of a record."""
    match = _ADDRESS.fullmatch(doc_id)
    return match[1] if match else None


def is_derived(document: Document) -> bool:
    """Return whether the id of a document that was just read is its own address."""
    if not document.doc_id.startswith(document.uri):
        return False
    return document.doc_id == document.uri + _fragment(document)


def is_impostor(document: Document, covers: Callable[[str], bool]) -> bool:
    """Return whether a record's id is the address of another record or file of the same sources."""
    if not document.doc_id.startswith((addresses.FILE, _UNNAMED_STDIN)) or is_derived(document):
        return False
    address = address_in(document.doc_id)
    return address is not None and (address == document.uri or covers(address))


@dataclass(slots=True)
class Identities:
    """Finds the documents of one scan in the lake. `version` is the run's ordinal."""

    catalog: Catalog
    covers: Callable[[str], bool]
    seen: Callable[[str], bool]
    version: int
    _moved_here: dict[str, str | None] = field(default_factory=dict)

    def settled(self, batch: Sequence[Document], known: Mapping[str, DocumentVersion]) -> list[Document]:
        """Return the batch, each document with the id it has in the lake; `known` are those at their derived id."""
        open_ = [d for d in batch if is_derived(d) and ((was := known.get(d.doc_id)) is None or was.uri != d.uri)]
        if not open_:
            return list(batch)
        ids = self._at_the_same_address(open_)
        rest = [d for d in open_ if d.doc_id not in ids]
        ids |= self._with_the_same_record([d for d in rest if d.doc_id not in known])
        for document in rest:
            was = known.get(document.doc_id)
            if was is not None and _is_elsewhere(was.uri, document.uri):
                ids[document.doc_id] = f"{document.uri}?{self.version}{_fragment(document)}"
        return [replace(d, doc_id=ids[d.doc_id]) if d.doc_id in ids else d for d in batch]

    def _at_the_same_address(self, documents: Sequence[Document]) -> dict[str, str]:
        """Return the ids of documents that moved to their address earlier, by derived id."""
        moved = self._moved_to({d.uri for d in documents})
        wanted = {
            document.doc_id: id_
            for document in documents
            if (id_ := _at(moved[document.uri], _fragment(document))) is not None
        }
        with self.catalog.reading() as connection:
            there = addresses.addresses_of(connection, sorted(set(wanted.values())))
        uri_of = {d.doc_id: d.uri for d in documents}
        return {derived: id_ for derived, id_ in wanted.items() if uri_of[derived] in there.get(id_, ())}

    def of_reject(self, reject: Reject) -> str | None:
        """Return the id of the document that a rejected file or record was, if it has another than its address."""
        if reject.doc_id is None or not reject.doc_id.startswith(reject.uri):
            return None
        return _at(self._moved_to({reject.uri})[reject.uri], reject.doc_id[len(reject.uri) :])

    def _moved_to(self, uris: set[str]) -> Mapping[str, str | None]:
        """Return, by address, an id of what moved there earlier; None for addresses to which nothing did."""
        if len(self._moved_here) > _MOST_FILES:
            self._moved_here.clear()
        if wanted := sorted(uris - self._moved_here.keys()):
            with self.catalog.reading() as connection:
                found = addresses.moved_here(connection, wanted)
            self._moved_here |= {uri: found.get(uri) for uri in wanted}
        return self._moved_here

    def _with_the_same_record(self, documents: Sequence[Document]) -> dict[str, str]:
        """Return the ids of documents whose record the lake has at an address that is gone or the same file."""
        records = {d.doc_id: d.record_sha256 for d in documents}
        with self.catalog.reading() as connection:
            alike = addresses.documents_like(connection, sorted(set(records.values())))
        if not alike:
            return {}
        by_record: dict[str, list[tuple[str, str]]] = {}
        for id_, uri, record in sorted(alike):
            by_record.setdefault(record, []).append((id_, uri))
        found: dict[str, str] = {}
        taken: set[str] = set()
        for document in documents:
            candidates = by_record.get(records[document.doc_id], [])
            nearest = sorted(candidates, key=lambda c: -_common_names(c[1], document.uri))
            for id_, uri in nearest:
                if id_ not in taken and self._is_moved(document, id_, uri):
                    found[document.doc_id] = id_
                    taken.add(id_)
                    break
        return found

    def _is_moved(self, document: Document, id_: str, uri: str) -> bool:
        match = _ADDRESS.fullmatch(id_)
        if match is None or (match[2] or "") != _fragment(document) or self.seen(id_):
            return False
        if document.uri.startswith(_UNNAMED_STDIN):
            return uri == _UNNAMED_STDIN
        if not uri.startswith(addresses.FILE) or os.path.basename(uri) != os.path.basename(document.uri):
            return False
        if not os.path.lexists(_path(uri)):
            return True
        # If this scan reads the old address too, the document will be found there.
        return not self.covers(uri) and _is_same_file(uri, document.uri)


@lru_cache(maxsize=1024)
def has_moved(uri: str, now: str) -> bool:
    """Return whether the file at `uri` is gone because it was moved to `now`, and not because a disk is not mounted.

    If its folder is gone too, its name decides: a folder was renamed, or two sources have files of different names.
    """
    if not uri.startswith(addresses.FILE) or os.path.lexists(_path(uri)):
        return False
    try:
        with os.scandir(os.path.dirname(_path(uri))) as listing:
            return next(listing, None) is not None
    except OSError:
        return os.path.basename(uri) == os.path.basename(now)


def _is_elsewhere(uri: str, here: str) -> bool:
    """Return whether a file other than that of `here` is at `uri`."""
    if not uri.startswith(addresses.FILE) or not here.startswith(addresses.FILE):
        return False
    return os.path.lexists(_path(uri)) and not _is_same_file(uri, here)


def _is_same_file(uri: str, other: str) -> bool:
    return os.path.realpath(_path(uri)) == os.path.realpath(_path(other))


def _common_names(uri: str, other: str) -> int:
    """Return how many of the last names of two addresses are equal."""
    pairs = zip(reversed(uri.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _at(moved: str | None, fragment: str) -> str | None:
    """Return the id that a file or its record has if `moved` is the id of some record, or all, of what moved there."""
    if moved is None or ("#" in moved) != bool(fragment):
        return None
    return moved[: moved.find("#")] + fragment if fragment else moved


def _fragment(document: Document) -> str:
    number = document.locator.rpartition(" ")[2]
    return f"#{number}" if number.isdecimal() else ""


def _path(uri: str) -> str:
    return os.fsdecode(unquote_to_bytes(uri.removeprefix("file://")))
