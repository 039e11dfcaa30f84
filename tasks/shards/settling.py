"""Settling: what a finished scan does about documents that its sources no longer yield, in every encoding of the lake.

They are hidden, unless the deletion guard holds them back or another source still has them. Knows no files: `Source`
decides what a source covers, and the scan what it could not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from polyseme.storage.database import addresses
from polyseme.storage.records import HeldBack
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.source import Source
from polyseme.tasks.shards.deletion_guard import DeletionLimit, SourceCounts, judge

if TYPE_CHECKING:
    from polyseme.tasks.shards.scan import Scan

_PAGE = 1000
Covering = Callable[[str], tuple[int, ...]]
"""Returns the sources, by number, that cover a uri."""


def settle(scan: Scan, sources: Sequence[Source], limit: DeletionLimit) -> list[HeldBack]:
    """Hide the documents that are gone, in the run's encoding and all others. Return what was held back.

    Documents are counted as deleted once, in however many encodings they are.
    """
    others = [encoding_id for encoding_id in scan.encodings if encoding_id != scan.encoding_id]
    held, deleted = list[HeldBack](), 0
    for encoding_id in (scan.encoding_id, *others):
        found, hidden = _settle_encoding(scan, sources, limit, encoding_id)
        held += found
        deleted = max(deleted, hidden)
    scan.tally.deleted += deleted
    return held


def _settle_encoding(
    scan: Scan, sources: Sequence[Source], limit: DeletionLimit, encoding_id: str
) -> tuple[list[HeldBack], int]:
    covering = lru_cache(maxsize=1024)(Coverage(sources).of)
    counts = _count(scan, len(sources), covering, encoding_id)
    lost = _count_others(scan, counts, covering, encoding_id)
    names = [source.name for source in sources]
    held = judge(counts, names, limit, encoding_id=encoding_id, run_id=scan.run_id)
    hidden = 0
    for page in scan.seen.take_gone(but_of=held):
        hidden += _hide(scan, page, covering, encoding_id)
    free = [(doc_id, uri) for doc_id, uri in lost if not held.keys() & covering(uri)]
    if free:
        with scan.catalog.writing() as connection:
            addresses.drop_other(connection, encoding_id, free)
    _keep_read_again(scan, covering, encoding_id)
    _record(scan, sources, held, encoding_id)
    return list(held.values()), hidden


def _count(scan: Scan, sources: int, covering: Covering, encoding_id: str) -> list[SourceCounts]:
    """Count the documents of each source in one pass over the catalog, and note in the scan those that are gone."""
    counts = [SourceCounts() for _ in range(sources)]
    found: Counter[tuple[tuple[int, ...], bool | None]] = Counter()
    own = encoding_id == scan.encoding_id
    shielded = lru_cache(maxsize=1024)(scan.shielded)
    for page in scan.catalog.documents_under(encoding_id):
        read = {} if own else scan.catalog.lookup(scan.encoding_id, [doc_id for doc_id, _ in page])
        seen = scan.seen.found(doc_id for doc_id, _ in page)
        for doc_id, uri in page:
            if mine := covering(uri):
                new = seen.get(doc_id)
                if new is not None and doc_id in read and read[doc_id].uri != uri:
                    continue  # read elsewhere: this source may be away, and did not yield it
                found[mine, new] += 1
                if new is None and not shielded(uri):
                    scan.seen.add_gone(doc_id, uri, mine)
                    for number in mine:
                        counts[number].add_gone(uri)
    for (mine, new), documents in found.items():
        for number in mine:
            # Another encoding has no document of this run, so that what the run calls new was there before.
            counts[number].had += 0 if new and own else documents
            counts[number].found += 0 if new is None or (new and own) else documents
    return counts


def _count_others(
    scan: Scan, counts: Sequence[SourceCounts], covering: Covering, encoding_id: str
) -> list[tuple[str, str]]:
    """Count documents that a source had beside another source and no longer has. Return these addresses.

    Those of documents that were found are dropped at once: their address is the one in the catalog now.
    """
    lost = []
    for page in _other_addresses(scan, encoding_id):
        here = [(doc_id, uri) for doc_id, uri in page if covering(uri) and not scan.shielded(uri)]
        found = [(doc_id, uri) for doc_id, uri in here if scan.seen.is_new(doc_id) is not None]
        if found:
            with scan.catalog.writing() as connection:
                addresses.drop_other(connection, encoding_id, found)
        for doc_id, uri in here:
            if scan.seen.is_new(doc_id) is None:
                lost.append((doc_id, uri))
                for number in covering(uri):
                    counts[number].had += 1
                    counts[number].add_gone(uri)
    return lost


def _keep_read_again(scan: Scan, covering: Covering, encoding_id: str) -> None:
    """Keep where else this scan read documents, if that is in another source, which a later run may scan alone."""
    for page in scan.seen.read_again():
        first = scan.catalog.lookup(encoding_id, [doc_id for doc_id, _ in page])
        kept = [
            (doc_id, uri)
            for doc_id, uri in page
            if doc_id in first and not set(covering(uri)) <= set(covering(first[doc_id].uri))
        ]
        if kept:
            with scan.catalog.writing() as connection:
                addresses.add_other(connection, encoding_id, kept)


def _other_addresses(scan: Scan, encoding_id: str) -> Iterator[list[tuple[str, str]]]:
    page: list[tuple[str, str]] = []
    while True:
        with scan.catalog.reading() as connection:
            page = addresses.others_after(connection, encoding_id, page[-1] if page else None, rows=_PAGE)
        if not page:
            return
        yield page


def _hide(scan: Scan, page: Sequence[tuple[str, str]], covering: Covering, encoding_id: str) -> int:
    """Hide documents, and move those that are elsewhere to their address there. Return how many were hidden.

    What the run's own encoding loses, the others lose too, at whatever address they have it.
    """
    elsewhere = _elsewhere(scan, page, covering, encoding_id)
    if elsewhere:
        scan.catalog.move_documents(encoding_id, elsewhere.items())
        with scan.catalog.writing() as connection:
            addresses.drop_other(connection, encoding_id, elsewhere.items())
    gone = [doc_id for doc_id, _ in page if doc_id not in elsewhere]
    if scan.of_sources is not None:
        for doc_id, uri in page:
            if doc_id not in elsewhere:
                scan.of_sources.add_deleted(uri, encoding_id)
    everywhere = scan.encodings if encoding_id == scan.encoding_id else (encoding_id,)
    return max(scan.catalog.delete_documents(e, gone, version=scan.version) for e in everywhere) if gone else 0


def _elsewhere(scan: Scan, page: Sequence[tuple[str, str]], covering: Covering, encoding_id: str) -> dict[str, str]:
    """Return, by id, where else documents are: in other sources, or where the run's own encoding keeps them."""
    doc_ids = [doc_id for doc_id, _ in page]
    with scan.catalog.reading() as connection:
        others = addresses.others_of(connection, encoding_id, doc_ids)
        live = addresses.addresses_of(connection, doc_ids)
    kept = {} if encoding_id == scan.encoding_id else scan.catalog.lookup(scan.encoding_id, doc_ids)
    found = {}
    for doc_id, uri in page:
        uris = [*others.get(doc_id, ()), *sorted(live.get(doc_id, ()))]
        own = [kept[doc_id].uri] if doc_id in kept else []
        if places := [other for other in [*own, *(u for u in uris if not covering(u))] if other != uri]:
            found[doc_id] = places[0]
    return found


def _record(scan: Scan, sources: Sequence[Source], held: dict[int, HeldBack], encoding_id: str) -> None:
    def judged(name: str) -> bool:
        return any(
            name == source.name or (source.contains(name) and number not in held)
            for number, source in enumerate(sources)
        )

    if held or any(judged(earlier.source) for earlier in scan.catalog.held_back()):
        scan.catalog.replace_held_back(encoding_id, list(held.values()), judged=judged)
