"""Document versions: which documents an encoding has live, where they come from and which rows they have.

Every function reads inside a transaction that it is given; `commits` has those that write.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
from sqlalchemy import Connection, RowMapping, literal, select, tuple_

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.arrow import read_table
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import deleted_documents, document_versions
from polyseme.storage.records import DocumentVersion, Outputs

_WHEN_DELETED = ("version", "text_version", "rows_version")
"""What a tombstone has of the deletion, and `deleted_documents` of the document."""


def find(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
    """Return the live version of each of `doc_ids` that has one."""
    d = document_versions.c
    query = select(document_versions).where(d.encoding_id == encoding_id, d.deleted.is_(False))
    origin = meta.origin(connection)
    return {
        row["doc_id"]: checked(origin, row)
        for ids in chunks(doc_ids)
        for row in connection.execute(query.where(d.doc_id.in_(ids))).mappings().all()
    }


def find_restorable(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
    """Return what each of `doc_ids` that is deleted and can be restored was before."""
    d, x = document_versions.c, deleted_documents.c
    columns = (x[column.name] if column.name in _WHEN_DELETED else column for column in d)
    query = select(*columns).join(deleted_documents, (x.encoding_id == d.encoding_id) & (x.doc_id == d.doc_id))
    query = query.where(x.encoding_id == encoding_id, d.deleted.is_(True))
    origin = meta.origin(connection)
    return {
        row["doc_id"]: checked(origin, row)
        for ids in chunks(doc_ids)
        for row in connection.execute(query.where(x.doc_id.in_(ids))).mappings().all()
    }


def checked(origin: checks.Origin, row: RowMapping) -> DocumentVersion:
    """Return a row of `document_versions` as a record. Raises LakeError for a value that no commit writes."""

    # A plan checks a million rows: integers in order take no call, and `origin` says what is wrong with others.
    def number(name: str, *, most: int = checks.MOST) -> int:
        value = row[name]
        if type(value) is int and 0 <= value <= most:
            return value
        return origin.integer(value, f"document_versions.{name}", most=most)

    def maybe(name: str, pattern: re.Pattern[str], expected: str) -> str | None:
        value = row[name]
        return None if value is None else origin.text(value, f"document_versions.{name}", pattern, expected)

    version = number("version")
    text_version, rows_version = number("text_version"), number("rows_version", most=version)
    return DocumentVersion(
        doc_id=origin.string(row["doc_id"], "document_versions.doc_id"),
        uri=origin.string(row["uri"], "document_versions.uri"),
        version=version,
        record_sha256=origin.string(row["record_sha256"], "document_versions.record_sha256"),
        outputs=outputs_in(origin, row["outputs"]),
        n_tokens=number("n_tokens"),
        text_version=None if text_version == version else text_version,
        rows_version=None if rows_version == version else rows_version,
        rows_shard=None if row["rows_shard"] is None else number("rows_shard"),
        content_sha256=maybe("content_sha256", checks.SHA256, "64 hex digits"),
        device=maybe("device", checks.DEVICE, "the kind of a device"),
    )


def live_versions(connection: Connection, encoding_id: str) -> pa.Table:
    """Return the live documents of an encoding as a table `(doc_id, version, n_tokens, outputs)`, outputs as JSON."""
    d = document_versions.c
    columns = (d.doc_id, d.version, d.n_tokens, d.outputs)
    found = read_table(connection, select(*columns).where(d.encoding_id == encoding_id, d.deleted.is_(False)))
    origin = meta.origin(connection)
    for text in found["outputs"].unique().to_pylist():
        outputs_in(origin, text)
    return found


def all_outputs(connection: Connection, encoding_id: str) -> list[Outputs]:
    """Return the distinct outputs that live documents of an encoding have."""
    d = document_versions.c
    query = select(d.outputs).where(d.encoding_id == encoding_id, d.deleted.is_(False)).distinct()
    origin = meta.origin(connection)
    return [outputs_in(origin, text) for text in connection.scalars(query)]


def live_contents(connection: Connection) -> frozenset[str]:
    """Return the hashes of the texts of live documents, of all encodings, where they were recorded."""
    d = document_versions.c
    query = select(d.content_sha256).where(d.deleted.is_(False), d.content_sha256.is_not(None)).distinct()
    return frozenset(connection.scalars(query))  # not checked: they are compared, and nothing is built of them


def page_after(
    connection: Connection, encoding_id: str, uri_prefix: str, last: tuple[str, str] | None, *, rows: int
) -> list[tuple[str, str]]:
    """Return up to `rows` pairs `(doc_id, uri)` of live documents whose uri begins with `uri_prefix`, by uri and id.

    `last` is the last pair of the page before; None for the first page.
    """
    d = document_versions.c
    query = select(d.doc_id, d.uri).where(d.encoding_id == encoding_id, d.deleted.is_(False))
    if uri_prefix:
        query = query.where(d.uri >= uri_prefix, d.uri < uri_prefix + "\U0010ffff")
    if last is not None:
        doc_id, uri = last
        query = query.where(tuple_(d.uri, d.doc_id) > tuple_(literal(uri), literal(doc_id)))
    found = connection.execute(query.order_by(d.uri, d.doc_id).limit(rows)).all()
    origin = meta.origin(connection)
    what = "document_versions.doc_id", "document_versions.uri"
    return [(origin.string(doc_id, what[0]), origin.string(uri, what[1])) for doc_id, uri in found]


@lru_cache(maxsize=256)
def outputs_in(origin: checks.Origin, text: str) -> Outputs:
    """Return the outputs that a column of a catalog has as JSON. Raises LakeError for anything else."""
    return checks.outputs(origin, text)
