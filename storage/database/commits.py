"""Commits: what a commit, a deletion or a move changes in the catalog, and the fence that protects newer versions.

Every function works inside a transaction that it is given. A version is the ordinal of a run. Of two versions of a
document the one whose text was read later wins, and of the same text the one encoded later, whichever is committed
first: a backfill takes old texts from the lake and may have a greater ordinal than the run that read a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from polyseme.storage.database import deletions, meta, redescribing, rejects
from polyseme.storage.database.dialects import chunks, insert_into
from polyseme.storage.database.schema import deleted_documents, document_versions, moved, parts, shards, superseded
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import DocumentVersion, Part, ShardResult

_REPLACED = (
    "version", "text_version", "rows_version", "rows_shard", "uri", "record_sha256", "content_sha256", "outputs",
    "n_tokens", "device", "deleted",
)  # fmt: skip


_NUMBERS = ("version", "text_version", "rows_version", "n_tokens")
_Rows = tuple[str, int, int | None]
"""A version of a document that parts have rows of: its id, the version, and the number of tokens of those rows."""


@dataclass(frozen=True, slots=True)
class _Current:
    version: int
    text_version: int
    rows_version: int
    n_tokens: int
    deleted: bool

    @property
    def order(self) -> tuple[int, int]:
        return (self.text_version, self.version)


def is_committed(connection: Connection, shard_key: str) -> bool:
    """Return True if an earlier attempt committed this shard."""
    return connection.scalar(select(shards.c.shard_key).where(shards.c.shard_key == shard_key)) is not None


def commit(connection: Connection, result: ShardResult, *, at: str, longest: int | None = None) -> None:
    """Add a shard's parts, document versions and rejects.

    Raises PolysemeError if the run has a document twice, or describes anew one whose text another run has changed.
    """
    shard = result.shard
    connection.execute(
        insert(shards).values(
            shard_key=shard.shard_key,
            encoding_id=shard.encoding_id,
            run_id=shard.run_id,
            version=shard.version,
            n_documents=len(result.documents),
            committed_at=at,
        )
    )
    number = meta.next_shard(connection)
    if result.parts:
        connection.execute(insert(parts), [_part_row(part, shard.shard_key, number) for part in result.parts])
    current = current_versions(connection, shard.encoding_id, _ids(result.documents))
    live, hidden = _fence(result.documents, current)
    described = [d for d in live if d.rows_version is not None]
    kept = redescribing.take_rows(connection, shard.encoding_id, described)
    _put_versions(connection, shard.encoding_id, [*(d for d in live if d.rows_version is None), *kept], shard=number)
    back = [d.doc_id for d in live if d.doc_id in current and current[d.doc_id].deleted]
    deletions.forget(connection, shard.encoding_id, back)
    _hide(connection, shard.encoding_id, hidden)
    rejects.add(connection, shard.run_id, result.rejects, longest=longest)


def delete(connection: Connection, encoding_id: str, doc_ids: Sequence[str], *, version: int, at: str) -> int:
    """Hide documents whose text is older than `version` and leave tombstones of that version. Return how many.

    What they were is kept, so that they can be restored.
    """
    current = current_versions(connection, encoding_id, doc_ids)
    found = {doc_id: now for doc_id, now in current.items() if now.text_version < version and not now.deleted}
    if found:
        kept = {"encoding_id": encoding_id, "deleted_by": version, "deleted_at": at}
        connection.execute(
            insert(deleted_documents),
            [
                {
                    **kept,
                    "doc_id": doc_id,
                    "version": now.version,
                    "text_version": now.text_version,
                    "rows_version": now.rows_version,
                }
                for doc_id, now in found.items()
            ],
        )
        d = document_versions.c
        connection.execute(
            update(document_versions)
            .where(d.encoding_id == encoding_id, d.doc_id == bindparam("gone"))
            .values(version=version, text_version=version, deleted=True),
            [{"gone": doc_id} for doc_id in found],
        )
    _hide(connection, encoding_id, [row for doc_id, now in found.items() for row in _rows_of(doc_id, now)])
    return len(found)


def move(connection: Connection, encoding_id: str, uris: Mapping[str, str]) -> int:
    """Give live documents another uri, by id; their rows stay. Return how many."""
    current = current_versions(connection, encoding_id, list(uris))
    rows = [
        {"encoding_id": encoding_id, "doc_id": doc_id, "version": now.version, "uri": uris[doc_id]}
        for doc_id, now in current.items()
        if not now.deleted
    ]
    if rows:
        d = document_versions.c
        connection.execute(
            update(document_versions)
            .where(d.encoding_id == encoding_id, d.doc_id == bindparam("moving"))
            .values(uri=bindparam("to")),
            [{"moving": row["doc_id"], "to": row["uri"]} for row in rows],
        )
        statement = insert_into(connection, moved)
        connection.execute(
            statement.on_conflict_do_update(index_elements=moved.primary_key, set_={"uri": statement.excluded.uri}),
            rows,
        )
    return len(rows)


def current_versions(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, _Current]:
    """Return the versions that the catalog has of `doc_ids`, tombstones included."""
    d = document_versions.c
    query = select(d.doc_id, *(d[name] for name in _NUMBERS), d.deleted).where(d.encoding_id == encoding_id)
    origin = meta.origin(connection)
    return {
        row["doc_id"]: _Current(
            **{name: origin.integer(row[name], f"document_versions.{name}") for name in _NUMBERS},
            deleted=row["deleted"],
        )
        for ids in chunks(doc_ids)
        for row in connection.execute(query.where(d.doc_id.in_(ids))).mappings().all()
    }


def _ids(documents: Sequence[DocumentVersion]) -> list[str]:
    return [document.doc_id for document in documents]


def _fence(
    ours: Sequence[DocumentVersion], current: Mapping[str, _Current]
) -> tuple[list[DocumentVersion], list[_Rows]]:
    """Return the documents of `ours` that become live, and the rows to hide, old ones or ours."""
    live: dict[str, DocumentVersion] = {}
    hidden: list[_Rows] = []
    for document in ours:
        now = current.get(document.doc_id)
        stored = (now.version, now.rows_version) if now and not now.deleted else ()
        twice = document.doc_id in live or document.version in stored
        if twice:
            # Both copies would have the same version, so neither could be hidden without the other.
            raise PolysemeError(
                f"Document {document.doc_id!r} ({document.uri}) was read twice by one run. "
                "Give every document an id of its own, or pass the source only once."
            )
        if now is None or now.order < document.order or (now.deleted and now.order == document.order):
            live[document.doc_id] = document
            if now and not now.deleted and document.rows_version is None:
                hidden += _rows_of(document.doc_id, now)
        else:
            tokens = document.n_tokens if document.rows_version is None else 0
            hidden.append((document.doc_id, document.version, tokens))
    return list(live.values()), hidden


def _rows_of(doc_id: str, now: _Current) -> list[_Rows]:
    """Return the versions under which the lake has the rows of a document."""
    if now.rows_version == now.version:
        return [(doc_id, now.version, now.n_tokens)]
    return [(doc_id, now.version, 0), (doc_id, now.rows_version, now.n_tokens)]


def _put_versions(
    connection: Connection, encoding_id: str, documents: Sequence[DocumentVersion], *, shard: int
) -> None:
    if not documents:
        return
    statement = insert_into(connection, document_versions)
    new = statement.excluded
    changed = {name: new[name] for name in _REPLACED}
    connection.execute(
        statement.on_conflict_do_update(index_elements=document_versions.primary_key, set_=changed),
        [
            {
                "encoding_id": encoding_id,
                "doc_id": d.doc_id,
                "version": d.version,
                "text_version": d.order[0],
                "rows_version": d.version if d.rows_version is None else d.rows_version,
                "rows_shard": shard if d.rows_version is None else d.rows_shard,
                "uri": d.uri,
                "record_sha256": d.record_sha256,
                "content_sha256": d.content_sha256,
                "outputs": d.outputs.to_json(),
                "n_tokens": d.n_tokens,
                "device": d.device,
                "deleted": False,
            }
            for d in documents
        ],
    )


def _hide(connection: Connection, encoding_id: str, hidden: Iterable[_Rows]) -> None:
    rows = [
        {"encoding_id": encoding_id, "doc_id": doc_id, "version": version, "n_tokens": n_tokens}
        for doc_id, version, n_tokens in hidden
    ]
    if rows:
        connection.execute(insert_into(connection, superseded).on_conflict_do_nothing(), rows)


def _part_row(part: Part, shard_key: str, number: int) -> dict[str, object]:
    row = asdict(part)
    row["table_name"] = row.pop("table")
    return {**row, "shard_key": shard_key, "first_shard": number, "last_shard": number}
