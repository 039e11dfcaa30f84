"""Locating: which parts can hold a document's rows, under which version, and which documents have a text.

Every function works inside a transaction that it is given. Opens no files: a part that can hold rows of a document may
have none of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from polyseme.storage.database import meta, part_rows
from polyseme.storage.database import versions as stored_versions
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import CONTENT_PREFIX, document_versions, parts
from polyseme.storage.records import DocumentVersion, Part

_SAME_TEXT = 8
"""Documents of one text that are looked at: all of them may be made with other outputs."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where the rows of some documents are: the live `parts` of one table that can hold them, oldest first, and the
    version that these rows have, by doc_id. Documents that are neither live nor can be restored are missing."""

    parts: tuple[Part, ...]
    versions: dict[str, int]


def parts_holding(connection: Connection, encoding_id: str, table: str, doc_ids: Sequence[str]) -> Located:
    """Return the live parts of a table that can hold rows of documents, and the version of these rows.

    Of live documents and of deleted ones that can be restored: compaction keeps the rows of both.

    All parts of the table if a document was stored by a Polyseme that did not record where, and for a row of
    `documents` that is newer than the others.
    """
    versions, shards, anywhere = dict[str, int](), set[int](), False
    for found in _with_rows(connection, encoding_id, doc_ids):
        rows_version = found.version if found.rows_version is None else found.rows_version
        versions[found.doc_id] = found.version if table == "documents" else rows_version
        if found.rows_shard is None or (table == "documents" and found.version != rows_version):
            anywhere = True
        else:
            shards.add(found.rows_shard)
    if not versions:
        return Located((), {})
    live = part_rows.live_parts(connection, encoding_id=encoding_id, table=table)
    if anywhere:
        return Located(tuple(live), versions)
    wanted = sorted(shards)
    holding = {path for path, first, last in _ranges(connection, encoding_id, table) if _has(wanted, first, last)}
    return Located(tuple(part for part in live if part.path in holding), versions)


def _with_rows(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> Iterator[DocumentVersion]:
    """Yield the live documents among `doc_ids`, and what the deleted ones were that can be restored."""
    live = stored_versions.find(connection, encoding_id, doc_ids)
    yield from live.values()
    if missing := [doc_id for doc_id in doc_ids if doc_id not in live]:
        yield from stored_versions.find_restorable(connection, encoding_id, missing).values()


def _ranges(connection: Connection, encoding_id: str, table: str) -> list[tuple[str, int | None, int | None]]:
    p = parts.c
    query = select(p.path, p.first_shard, p.last_shard).where(p.encoding_id == encoding_id, p.table_name == table)
    return [(path, first, last) for path, first, last in connection.execute(query)]


def _has(shards: Sequence[int], first: int | None, last: int | None) -> bool:
    """Return whether one of the sorted `shards` is in a range; one that is not known may have any."""
    if first is None or last is None:
        return True
    at = bisect_left(shards, first)
    return at < len(shards) and shards[at] <= last


def documents_with_text(
    connection: Connection, encoding_id: str, contents: Sequence[str], *, before: int, device: str
) -> dict[str, list[str]]:
    """Return the ids of live documents of an encoding by the hash of their text, for each of `contents`.

    Of documents that runs before that of ordinal `before` committed, with rows computed on that kind of `device`; a few
    of each text, the oldest first, since a hundred thousand documents may have one. Documents that were stored before
    the hash was recorded are not found.
    """
    d, wanted, found = document_versions.c, set(contents), dict[str, list[str]]()
    prefix: ColumnElement[str] = literal_column(CONTENT_PREFIX)
    age = func.row_number().over(partition_by=d.content_sha256, order_by=(d.version, d.doc_id)).label("age")
    query = select(d.content_sha256, d.doc_id, age).where(d.deleted.is_(False), d.encoding_id == encoding_id)
    query = query.where(d.version < before, d.device == device)
    origin = meta.origin(connection)
    for some in chunks(contents):
        live = query.where(prefix.in_([c[:16] for c in some])).subquery()
        few = select(live.c.content_sha256, live.c.doc_id).where(live.c.age <= _SAME_TEXT).order_by(live.c.age)
        for content, doc_id in connection.execute(few):
            if content in wanted:
                found.setdefault(content, []).append(origin.string(doc_id, "document_versions.doc_id"))
    return found
