"""Part rows: what maintenance reads and changes of them, and the corrections that no part needs any more.

Every function works inside a transaction that it is given. Opens no files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, bindparam, delete, func, insert, or_, select

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import (
    deleted_documents,
    document_versions,
    moved,
    parts,
    redescribed,
    retired_parts,
    shards,
    superseded,
)
from polyseme.storage.records import Part

_PARTS = select(parts.c.table_name, parts.c.encoding_id, parts.c.path, parts.c.rows, parts.c.bytes, parts.c.sha256)


@dataclass(frozen=True, slots=True)
class RetiredPart:
    """A part that no new reader gets. `retired_at` is ISO 8601 in UTC."""

    path: str
    bytes: int
    retired_at: str


def live_parts(connection: Connection, *, encoding_id: str | None = None, table: str | None = None) -> list[Part]:
    """Return the live parts, of one encoding or table if these are given, oldest first."""
    p = parts.c
    query = _PARTS.order_by(p.part_id)
    if encoding_id is not None:
        query = query.where(p.encoding_id == encoding_id)
    if table is not None:
        query = query.where(p.table_name == table)
    return _read(connection, query)


def newest_parts(
    connection: Connection, encoding_id: str, *, below: int, table: str | None = None
) -> dict[str, list[Part]]:
    """Return the live parts that are newer than any of `below` bytes or more, by table, oldest first.

    They are ordered by their first shard, before them those whose shards are not known. Of a lake of ten thousand large
    parts that is a handful: only the database looks at the others.
    """
    p = parts.c
    first = func.coalesce(p.first_shard, -1)
    mine = [p.encoding_id == encoding_id, *([p.table_name == table] if table is not None else [])]
    last_large = select(p.table_name, func.max(first)).where(*mine, p.bytes >= below).group_by(p.table_name)
    after: dict[str, int] = {row[0]: row[1] for row in connection.execute(last_large)}
    newer = or_(p.table_name.not_in(list(after)), *(and_(p.table_name == t, first > n) for t, n in after.items()))
    found: dict[str, list[Part]] = {}
    for part in _read(connection, _PARTS.where(*mine, newer).order_by(first, p.part_id)):
        found.setdefault(part.table, []).append(part)
    return found


def live_paths(connection: Connection, *, encoding_id: str | None = None) -> list[str]:
    """Return the paths of the live parts, of one encoding if it is given, oldest first."""
    p = parts.c
    query = select(p.table_name, p.encoding_id, p.path).order_by(p.part_id)
    if encoding_id is not None:
        query = query.where(p.encoding_id == encoding_id)
    found = [tuple(row) for row in connection.execute(query)]
    _check_paths(meta.origin(connection), found)
    return [path for _, _, path in found]


def dead_versions(connection: Connection, encoding_id: str) -> tuple[int, int]:
    """Return how many corrections of rows an encoding has that no restore needs, and how many tokens the rows have."""
    counts = []
    for table in (superseded, redescribed, moved, deleted_documents):
        mine = select(func.count()).select_from(table).where(table.c.encoding_id == encoding_id)
        counts.append(connection.scalar(mine) or 0)
    hidden = select(func.coalesce(func.sum(superseded.c.n_tokens), 0)).where(superseded.c.encoding_id == encoding_id)
    tokens = connection.scalar(hidden) or 0
    if counts[3]:
        d, x = document_versions.c, deleted_documents.c
        # Not a join: SQLite may begin it with all documents, which are a million, and not with the few deleted ones.
        of_one = select(d.n_tokens).where(d.encoding_id == x.encoding_id, d.doc_id == x.doc_id)
        kept = select(func.coalesce(func.sum(of_one.scalar_subquery()), 0)).where(x.encoding_id == encoding_id)
        tokens -= connection.scalar(kept) or 0
    return sum(counts[:3]) - counts[3], int(tokens)


def _read(connection: Connection, query: Select[Any]) -> list[Part]:
    """Return the parts of a query. Raises LakeError for a part that could not have been committed."""
    found = [
        Part(table=table, encoding_id=encoding, path=path, rows=rows, bytes=size, sha256=sha256)
        for table, encoding, path, rows, size, sha256 in connection.execute(query)
    ]
    origin = meta.origin(connection)
    for part in found:
        origin.integer(part.rows, "parts.rows")
        origin.integer(part.bytes, "parts.bytes")
    _check_paths(origin, [(part.table, part.encoding_id, part.path) for part in found])
    checks.texts(origin, [part.sha256 for part in found], "parts.sha256", checks.SHA256, "64 hex digits")
    return found


def _check_paths(origin: checks.Origin, found: Iterable[tuple[str, str, str]]) -> None:
    paths: dict[tuple[str, str], list[str]] = {}
    for table, encoding_id, path in found:
        paths.setdefault((table, encoding_id), []).append(path)
    for (table, encoding_id), some in paths.items():
        checks.part_paths(origin, table, encoding_id, some)


def retired(connection: Connection, *, before: str | None = None) -> list[RetiredPart]:
    """Return the retired parts whose files may still exist, oldest first; of those `before` a time, inclusive."""
    r = retired_parts.c
    query = select(r.path, r.bytes, r.retired_at).order_by(r.retired_at)
    if before is not None:
        query = query.where(r.retired_at <= before)
    origin = meta.origin(connection)
    return [
        RetiredPart(
            checks.part_path(origin, path),
            origin.integer(size, "retired_parts.bytes"),
            origin.time(at, "retired_parts.retired_at"),
        )
        for path, size, at in connection.execute(query)
    ]


def are_live(connection: Connection, found: Sequence[Part]) -> bool:
    """Return True if every one of these parts is still live."""
    paths = [part.path for part in found]
    live = sum(
        connection.scalar(select(func.count()).select_from(parts).where(parts.c.path.in_(some))) or 0
        for some in chunks(paths)
    )
    return live == len(set(paths))


def retire(connection: Connection, old: Sequence[Part], *, reason: str, at: str) -> None:
    """Hide parts from new readers; their files stay for readers that have them open."""
    rows = [
        {
            "path": part.path,
            "table_name": part.table,
            "encoding_id": part.encoding_id,
            "bytes": part.bytes,
            "reason": reason,
            "retired_at": at,
        }
        for part in old
    ]
    connection.execute(insert(retired_parts), rows)
    for some in chunks([part.path for part in old]):
        connection.execute(delete(parts).where(parts.c.path.in_(some)))


def shard_range(connection: Connection, found: Sequence[Part]) -> tuple[int, int] | None:
    """Return the numbers of the first and last shard whose rows these live parts can hold; None if not known."""
    p = parts.c
    ranges = [
        (first, last)
        for some in chunks([part.path for part in found])
        for first, last in connection.execute(select(p.first_shard, p.last_shard).where(p.path.in_(some)))
    ]
    known = [(first, last) for first, last in ranges if first is not None and last is not None]
    if len(known) < len(ranges) or not known:
        return None
    return min(first for first, _ in known), max(last for _, last in known)


def add_merged(
    connection: Connection,
    new: Part | None,
    encoding_id: str,
    moves: Iterable[tuple[str, int, str]],
    *,
    shards: tuple[int, int] | None,
) -> None:
    """Add a merged part with rows of these `shards`, and drop the moves that it contains.

    A move stays if the document has moved again since.
    """
    if new is not None:
        first, last = shards or (None, None)
        connection.execute(
            insert(parts).values(
                path=new.path,
                table_name=new.table,
                encoding_id=new.encoding_id,
                rows=new.rows,
                bytes=new.bytes,
                sha256=new.sha256,
                first_shard=first,
                last_shard=last,
            )
        )
    rows = [{"doc": doc_id, "ver": version, "to": uri} for doc_id, version, uri in moves]
    if rows:
        m = moved.c
        connection.execute(
            delete(moved).where(
                m.encoding_id == encoding_id,
                m.doc_id == bindparam("doc"),
                m.version == bindparam("ver"),
                m.uri == bindparam("to"),
            ),
            rows,
        )


def drop_corrections(
    connection: Connection,
    encoding_id: str,
    versions: Sequence[tuple[str, int]],
    *,
    searched: Collection[str],
    of: Sequence[Table] = (superseded, moved),
) -> None:
    """Drop the corrections of `(doc_id, version)` pairs of which the parts `searched`, by path, have no rows.

    `of` are the tables of corrections. A pair stays if a shard of that version was committed since: the shard may have
    brought rows of it.
    """
    committed = select(parts.c.path, shards.c.version).join(shards, parts.c.shard_key == shards.c.shard_key)
    found = connection.execute(committed.where(parts.c.encoding_id == encoding_id))
    growing = {version for path, version in found if path not in searched}
    gone = [{"doc": doc_id, "ver": version} for doc_id, version in versions if version not in growing]
    for some in chunks(gone):
        for table in of:
            c = table.c
            matching = (c.encoding_id == encoding_id, c.doc_id == bindparam("doc"), c.version == bindparam("ver"))
            connection.execute(delete(table).where(*matching), some)


def forget_retired(connection: Connection, paths: Sequence[str]) -> None:
    """Drop retired parts, by path, whose files are gone."""
    for some in chunks(paths):
        connection.execute(delete(retired_parts).where(retired_parts.c.path.in_(some)))


def known_paths(connection: Connection, paths: Sequence[str]) -> set[str]:
    """Return those of `paths` that belong to live or retired parts."""
    return {
        path
        for column in (parts.c.path, retired_parts.c.path)
        for some in chunks(paths)
        for path in connection.scalars(select(column).where(column.in_(some)))
    }
