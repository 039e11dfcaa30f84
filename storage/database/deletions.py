"""Deletions: documents that are hidden, what is kept to restore them, and how they are shown again.

Every function works inside a transaction that it is given. A deleted document can be restored until vacuum forgets it;
until then compaction keeps its rows. Opens no files: whether the rows are there is checked elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Connection, RowMapping, select, update
from sqlalchemy import delete as delete_rows

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.arrow import read_table
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import deleted_documents, document_versions, runs, superseded


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedDocument:
    """A deleted document of one encoding, with the versions it had. `run_id` is None for a run that is not recorded.

    `deleted_at` is ISO 8601 in UTC.
    """

    encoding_id: str
    doc_id: str
    uri: str
    version: int
    text_version: int
    rows_version: int
    run_id: str | None
    deleted_at: str


def read(
    connection: Connection, *, run_id: str | None = None, uri_prefix: str | None = None, doc_id: str | None = None
) -> list[DeletedDocument]:
    """Return the deleted documents that can be restored and meet every condition, the latest deleted first."""
    x, d = deleted_documents.c, document_versions.c
    query = (
        select(x.encoding_id, x.doc_id, d.uri, x.version, x.text_version, x.rows_version, runs.c.run_id, x.deleted_at)
        .join(document_versions, (d.encoding_id == x.encoding_id) & (d.doc_id == x.doc_id))
        .outerjoin(runs, runs.c.ordinal == x.deleted_by)
        .where(d.deleted.is_(True))
        .order_by(x.deleted_by.desc(), d.uri, x.doc_id, x.encoding_id)
    )
    if run_id is not None:
        query = query.where(runs.c.run_id == run_id)
    if uri_prefix is not None:
        query = query.where(d.uri >= uri_prefix, d.uri < uri_prefix + "\U0010ffff")
    if doc_id is not None:
        query = query.where(x.doc_id == doc_id)
    origin = meta.origin(connection)
    return [_checked(origin, row) for row in connection.execute(query).mappings()]


def _checked(origin: checks.Origin, row: RowMapping) -> DeletedDocument:
    """Return a row as a record. Raises LakeError for a value that no deletion leaves."""
    run_id, encoding_id = row["run_id"], row["encoding_id"]
    return DeletedDocument(
        encoding_id=origin.text(encoding_id, "deleted_documents.encoding_id", checks.ENCODING_ID, "16 hex digits"),
        doc_id=origin.string(row["doc_id"], "deleted_documents.doc_id"),
        uri=origin.string(row["uri"], "document_versions.uri"),
        version=origin.integer(row["version"], "deleted_documents.version"),
        text_version=origin.integer(row["text_version"], "deleted_documents.text_version"),
        rows_version=origin.integer(row["rows_version"], "deleted_documents.rows_version"),
        run_id=None if run_id is None else origin.text(run_id, "runs.run_id", checks.LINE, "one line of text"),
        deleted_at=origin.time(row["deleted_at"], "deleted_documents.deleted_at"),
    )


def restorable_versions(connection: Connection, encoding_id: str | None = None) -> pa.Table:
    """Return the hidden versions `(encoding_id, doc_id, version)` whose rows must be kept, of one encoding or all."""
    x = deleted_documents.c
    described = select(x.encoding_id, x.doc_id, x.version)
    others = select(x.encoding_id, x.doc_id, x.rows_version.label("version")).where(x.rows_version != x.version)
    if encoding_id is not None:
        described, others = (query.where(x.encoding_id == encoding_id) for query in (described, others))
    return pa.concat_tables([read_table(connection, described), read_table(connection, others)])


def restore(connection: Connection, documents: Iterable[DeletedDocument]) -> list[DeletedDocument]:
    """Show deleted documents again, with the versions they had. Return those; one that was embedded since stays.

    So does one that vacuum has forgotten since: compaction may have dropped its rows.
    """
    d, s, restored = document_versions.c, superseded.c, list[DeletedDocument]()
    for document in documents:
        if not forget(connection, document.encoding_id, [document.doc_id]):
            continue
        key = (d.encoding_id == document.encoding_id, d.doc_id == document.doc_id)
        values = {
            "version": document.version,
            "text_version": document.text_version,
            "rows_version": document.rows_version,
            "deleted": False,
        }
        connection.execute(update(document_versions).where(*key).values(values))
        hidden = (s.encoding_id == document.encoding_id, s.doc_id == document.doc_id)
        versions = s.version.in_((document.version, document.rows_version))
        connection.execute(delete_rows(superseded).where(*hidden, versions))
        restored.append(document)
    return restored


def forget(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> int:
    """Drop what is kept to restore documents, because they were embedded or restored. Return of how many."""
    x, dropped = deleted_documents.c, 0
    for some in chunks(doc_ids):
        mine = delete_rows(deleted_documents).where(x.encoding_id == encoding_id, x.doc_id.in_(some))
        dropped += connection.execute(mine).rowcount
    return dropped


def forget_older(connection: Connection, *, than: str) -> int:
    """Drop what is kept of documents deleted by then, in ISO 8601. Return how many: compaction may drop their rows."""
    return connection.execute(delete_rows(deleted_documents).where(deleted_documents.c.deleted_at <= than)).rowcount
