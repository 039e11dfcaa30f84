"""Refusals: the documents that a scan itself refuses, whose content was read without fault: their ids are wrong."""

from __future__ import annotations

from polyseme.storage.records import Document, Reject


def duplicate(document: Document) -> Reject:
    """Return the reject of a document whose id was read before in the same run."""
    return Reject(
        document.uri,
        document.locator,
        "scan",
        "duplicate-id",
        f"The id '{document.doc_id}' was already read in this run; the first document with it was kept. "
        "Give records distinct ids, or name another field with --id-field.",
        doc_id=document.doc_id,
    )


def taken(document: Document) -> Reject:
    """Return the reject of a record whose id is another's address."""
    return Reject(
        document.uri,
        document.locator,
        "scan",
        "bad-id",
        f"The id '{document.doc_id}' is the address of another file or record, whose document has this id. "
        "Give the record another id, or name another field with --id-field.",
    )


def key_bytes(document: Document) -> int:
    """Return the bytes that a document's keys take in an index."""
    return len(document.doc_id.encode()) + len(document.uri.encode())


def too_long(document: Document, longest: int) -> Reject:
    """Return the reject of a document whose keys have more bytes than the `longest` that an index takes."""
    return Reject(
        document.uri,
        document.locator,
        "scan",
        "id-too-long",
        f"The id and the address have {key_bytes(document):,} bytes together, and an index of PostgreSQL, where this "
        f"lake has its catalog, takes {longest:,}. Give the record a shorter id, or its file a shorter path.",
        doc_id=document.doc_id,
    )
