"""Redescribing: documents get another title, metadata or address with a new row of `documents`, and keep all others.

What is kept is decided by what the catalog has at the commit, not by what the scan saw: another run may have encoded
the same text again, or deleted the document, meanwhile. Works inside a transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, delete, select

from polyseme.storage.database import meta
from polyseme.storage.database.dialects import chunks, insert_into
from polyseme.storage.database.schema import deleted_documents, document_versions, redescribed, superseded
from polyseme.storage.database.versions import checked
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import DocumentVersion


def keeps_rows(stored: DocumentVersion, document: DocumentVersion) -> bool:
    """Return whether the rows of a stored document are those of another description: of its text, and enough."""
    known = stored.content_sha256 is not None
    return known and stored.content_sha256 == document.content_sha256 and stored.outputs.covers(document.outputs)


def take_rows(connection: Connection, encoding_id: str, documents: Sequence[DocumentVersion]) -> list[DocumentVersion]:
    """Return the documents with the rows that the catalog has of them, and hide their row of `documents` there.

    Rows of a deleted document that can be restored are shown again. Raises PolysemeError for a document of which there
    are no rows of the same text any more.
    """
    stored = _stored(connection, encoding_id, [d.doc_id for d in documents])
    origin = meta.origin(connection)
    kept, hidden, shown = list[DocumentVersion](), list[tuple[str, int]](), list[tuple[str, int]]()
    for document in documents:
        row = stored.get(document.doc_id)
        now = None if row is None else checked(origin, row)
        if row is None or now is None or not keeps_rows(now, document):
            raise PolysemeError(
                f"Another run changed the document {document.doc_id!r} ({document.uri}) while this one gave it a new "
                "description. Nothing of the shard was committed; run the same command again."
            )
        rows_version = origin.integer(row["rows_version"], "document_versions.rows_version")
        hidden.append((document.doc_id, now.version))
        if row["deleted"]:
            shown.append((document.doc_id, rows_version))
        kept.append(
            replace(
                document, rows_version=rows_version, rows_shard=now.rows_shard, outputs=now.outputs,
                n_tokens=now.n_tokens, device=now.device,
            )
        )  # fmt: skip
    if hidden:
        rows = [{"encoding_id": encoding_id, "doc_id": doc_id, "version": version} for doc_id, version in hidden]
        connection.execute(insert_into(connection, redescribed).on_conflict_do_nothing(), rows)
    s = superseded.c
    for doc_id, version in shown:
        mine = (s.encoding_id == encoding_id, s.doc_id == doc_id, s.version == version)
        connection.execute(delete(superseded).where(*mine))
    return kept


def _stored(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Return what the catalog has of documents that are live, or deleted and can be restored as they were then."""
    d, x = document_versions.c, deleted_documents.c
    columns = [c for c in d if c.name not in ("version", "rows_version")]
    live = select(d.version, d.rows_version, *columns).where(d.deleted.is_(False))
    deleted = select(x.version, x.rows_version, *columns).where(
        d.deleted.is_(True), x.encoding_id == d.encoding_id, x.doc_id == d.doc_id
    )
    return {
        row["doc_id"]: row
        for some in chunks(doc_ids)
        for query in (live, deleted)
        for row in connection.execute(query.where(d.encoding_id == encoding_id, d.doc_id.in_(some))).mappings()
    }
