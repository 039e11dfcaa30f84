"""Staleness: which documents an encoding lacks, has with an older text, or lost to a broken part.

Compares the encodings in the catalog and reads no part. Changes in a source since it was last embedded are not seen
here: the next scan finds them. Every function works inside a transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text, update

from polyseme.storage.database.schema import document_versions

DAMAGED = ""
"""The record hash of a document whose rows a broken part held. No record has it, so the next scan encodes it again.

The hash of its text is dropped too: with the same text, nothing would be encoded.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """How many documents a backfill would encode: `missing` here but live in another encoding, `outdated` because
    another encoding has a later text, and `damaged` ones that a repair marked."""

    missing: int
    outdated: int
    damaged: int


def damaged_documents(connection: Connection, encoding_id: str) -> dict[str, str]:
    """Return the uris of the documents that a repair marked in an encoding, by id."""
    rows = connection.execute(text(_WHICH_DAMAGED), {"encoding_id": encoding_id, "damaged": DAMAGED})
    return {row[0]: row[1] for row in rows}


def mark_damaged(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> None:
    """Mark documents as damaged in an encoding, until they are encoded again."""
    if doc_ids:
        d = document_versions.c
        connection.execute(
            update(document_versions)
            .where(d.encoding_id == encoding_id, d.doc_id == bindparam("doc"))
            .values(record_sha256=DAMAGED, content_sha256=None),
            [{"doc": doc_id} for doc_id in doc_ids],
        )


def staleness(connection: Connection) -> dict[str, Staleness]:
    """Return how many documents are stale, by encoding id."""
    found = {}
    ids = list(connection.scalars(text("SELECT encoding_id FROM encodings")))
    for encoding_id in ids:
        query = _COUNTS if len(ids) > 1 else _DAMAGED
        values = {"encoding_id": encoding_id, "damaged": DAMAGED}
        missing, outdated, damaged = connection.execute(text(query), values).one()
        found[encoding_id] = Staleness(missing=missing or 0, outdated=outdated or 0, damaged=damaged or 0)
    return found


_WHICH_DAMAGED = """
SELECT doc_id, uri FROM document_versions
WHERE encoding_id = :encoding_id AND NOT deleted AND record_sha256 = :damaged ORDER BY doc_id
"""
_DAMAGED = """
SELECT 0, 0, count(*) FROM document_versions
WHERE encoding_id = :encoding_id AND NOT deleted AND record_sha256 = :damaged
"""
_COUNTS = """
WITH latest AS (
    SELECT doc_id, max(text_version) AS text_version FROM document_versions WHERE NOT deleted GROUP BY doc_id
), other AS (
    SELECT DISTINCT d.doc_id, d.text_version, d.record_sha256 FROM document_versions AS d
    JOIN latest ON latest.doc_id = d.doc_id AND latest.text_version = d.text_version
    WHERE NOT d.deleted AND d.encoding_id <> :encoding_id AND d.record_sha256 <> :damaged
)
SELECT
    (
        SELECT count(*) FROM other LEFT JOIN document_versions AS mine
        ON mine.doc_id = other.doc_id AND mine.encoding_id = :encoding_id
        WHERE mine.doc_id IS NULL OR (mine.deleted AND mine.text_version < other.text_version)
    ),
    (
        SELECT count(*) FROM other JOIN document_versions AS mine
        ON mine.doc_id = other.doc_id AND mine.encoding_id = :encoding_id
        WHERE NOT mine.deleted AND mine.text_version < other.text_version
        AND mine.record_sha256 <> other.record_sha256 AND mine.record_sha256 <> :damaged
    ),
    (
        SELECT count(*) FROM document_versions
        WHERE encoding_id = :encoding_id AND NOT deleted AND record_sha256 = :damaged
    )
"""
