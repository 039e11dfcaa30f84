"""Document versions: which documents an encoding has live, where they come from and which rows they have.

Every function reads inside a transaction that it is given; `commits` has those that write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
from sqlalchemy import Connection, literal, select, tuple_

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.arrow import read_table
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import document_versions
from polyseme.storage.records import DocumentVersion, Outputs


def find(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
    """Return the live version of each of `doc_ids` that has one."""
    d = document_versions.c
    columns = (d.doc_id, d.uri, d.version, d.record_sha256, d.outputs, d.n_tokens, d.text_version)
    query = select(*columns).where(d.encoding_id == encoding_id, d.deleted.is_(False))
    origin = meta.origin(connection)
    return {
        doc_id: DocumentVersion(
            doc_id=doc_id,
            uri=origin.string(uri, "document_versions.uri"),
            version=origin.integer(version, "document_versions.version"),
            record_sha256=origin.string(record_sha256, "document_versions.record_sha256"),
            outputs=_outputs(origin, outputs),
            n_tokens=origin.integer(n_tokens, "document_versions.n_tokens"),
            text_version=(
                None if text_version == version else origin.integer(text_version, "document_versions.text_version")
            ),
        )
        for ids in chunks(doc_ids)
        for doc_id, uri, version, record_sha256, outputs, n_tokens, text_version in connection.execute(
            query.where(d.doc_id.in_(ids))
        ).all()
    }


def live_versions(connection: Connection, encoding_id: str) -> pa.Table:
    """Return the live documents of an encoding as a table `(doc_id, version, n_tokens, outputs)`, outputs as JSON."""
    d = document_versions.c
    columns = (d.doc_id, d.version, d.n_tokens, d.outputs)
    found = read_table(connection, select(*columns).where(d.encoding_id == encoding_id, d.deleted.is_(False)))
    origin = meta.origin(connection)
    for text in found["outputs"].unique().to_pylist():
        _outputs(origin, text)
    return found


def all_outputs(connection: Connection, encoding_id: str) -> list[Outputs]:
    """Return the distinct outputs that live documents of an encoding have."""
    d = document_versions.c
    query = select(d.outputs).where(d.encoding_id == encoding_id, d.deleted.is_(False)).distinct()
    origin = meta.origin(connection)
    return [_outputs(origin, text) for text in connection.scalars(query)]


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
    found = connection.execute(query.order_by(d.uri, d.doc_id).limit(rows))
    origin = meta.origin(connection)
    what = "document_versions.doc_id", "document_versions.uri"
    return [(origin.string(doc_id, what[0]), origin.string(uri, what[1])) for doc_id, uri in found]


@lru_cache(maxsize=256)
def _outputs(origin: checks.Origin, text: str) -> Outputs:
    return checks.outputs(origin, text)
