"""Snapshot: everything that readers need of a lake, read in one transaction.

A plain value: it holds no connection and does not change when the catalog does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
from sqlalchemy import Connection, Table, func, or_, select

from polyseme.storage import checks
from polyseme.storage.database import dead_runs, deletions, meta, run_process, schema, skipped_files, topics, versions
from polyseme.storage.database.arrow import read_table
from polyseme.storage.database.encodings import Encoding, read_encodings
from polyseme.storage.fitted_topics import TopicFit


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was live at `catalog_version`. `epoch` tells it from the same number after a restore.

    `parts` maps `(encoding_id, table)` to paths relative to the lake; those in `lower_case` may have words in lower
    case in place of their key. `with_every_word` are the ids of encodings that hold all words of all documents.

    `superseded(encoding_id, doc_id, version)`, `redescribed` with the same columns for the table `documents` alone, and
    `moved(encoding_id, doc_id, version, uri)` correct the rows of the parts; `restorable(encoding_id, doc_id, version)`
    are those of the superseded that a restore can show again. `topics` are the versions of an encoding's topics, oldest
    first, by its id. `runs` has those as died that are dead, recorded or not;
    `rejects` are shown as they are, and of `skipped` the totals.
    """

    catalog_version: int
    epoch: str
    lake_id: str
    default_encoding: str | None
    encodings: tuple[Encoding, ...]
    parts: Mapping[tuple[str, str], tuple[str, ...]]
    superseded: pa.Table
    redescribed: pa.Table
    moved: pa.Table
    restorable: pa.Table
    runs: pa.Table
    rejects: pa.Table
    skipped: pa.Table
    lower_case: frozenset[str] = frozenset()
    with_every_word: frozenset[str] = frozenset()
    topics: Mapping[str, tuple[TopicFit, ...]] = field(default_factory=dict)

    @property
    def state(self) -> meta.State:
        """What tells it from every other snapshot, of this lake and of others."""
        return self.lake_id, self.catalog_version, self.epoch

    @property
    def default(self) -> Encoding | None:
        """The encoding that the unsuffixed views show; None in a lake without encodings."""
        return next((e for e in self.encodings if e.encoding_id == self.default_encoding), None)

    def without_parts(self, paths: Collection[str]) -> Snapshot:
        """Return the same snapshot, less the parts at `paths`."""
        parts = {key: tuple(p for p in found if p not in paths) for key, found in self.parts.items()}
        return replace(self, parts=parts)


def take_snapshot(connection: Connection) -> Snapshot:
    """Read a snapshot in the connection's transaction. Raises LakeError for a damaged catalog."""
    rejects = select(*(c for c in schema.rejects.c if c.name != "id")).order_by(schema.rejects.c.id)
    encodings = read_encodings(connection)
    return Snapshot(
        catalog_version=meta.catalog_version(connection),
        epoch=meta.epoch(connection),
        lake_id=meta.lake_id(connection),
        default_encoding=_default(connection, [e.encoding_id for e in encodings]),
        encodings=encodings,
        parts=_live_parts(connection, [e.encoding_id for e in encodings]),
        superseded=_versions(connection, schema.superseded),
        redescribed=_versions(connection, schema.redescribed),
        moved=read_table(connection, select(schema.moved)),
        restorable=deletions.restorable_versions(connection),
        runs=_runs(connection),
        rejects=read_table(connection, rejects),
        skipped=read_table(connection, skipped_files.totals()),
        lower_case=_in_lower_case(connection),
        with_every_word=frozenset(e.encoding_id for e in encodings if _has_every_word(connection, e.encoding_id)),
        topics=topics.read(connection, encodings),
    )


def read_totals(connection: Connection, encoding_id: str) -> dict[str, int]:
    """Return how many live documents and tokens, and how many parts and bytes, an encoding has.

    `sentence_rows` counts rows of `sentences`, those included that are hidden until compaction removes them.
    """
    d, p = schema.document_versions.c, schema.parts.c
    live = select(func.count(), func.coalesce(func.sum(d.n_tokens), 0)).where(
        d.encoding_id == encoding_id, d.deleted.is_(False)
    )
    sentences = func.sum(p.rows).filter(p.table_name == "sentences")
    files = select(func.count(), func.coalesce(func.sum(p.bytes), 0), func.coalesce(sentences, 0))
    documents, tokens = connection.execute(live).one()
    parts, size, rows = connection.execute(files.where(p.encoding_id == encoding_id)).one()
    return {"documents": documents, "tokens": tokens, "parts": parts, "bytes": size, "sentence_rows": rows}


def _versions(connection: Connection, table: Table) -> pa.Table:
    return read_table(connection, select(table.c.encoding_id, table.c.doc_id, table.c.version))


def _runs(connection: Connection) -> pa.Table:
    found = read_table(connection, select(schema.runs).order_by(schema.runs.c.ordinal))
    origin = meta.origin(connection)
    for run_id in found["run_id"].to_pylist():
        origin.text(run_id, "runs.run_id", checks.LINE, "one line of text")
    checks.times(origin, found["started_at"].to_pylist(), "runs.started_at")
    for name in ("finished_at", "seen_at"):
        checks.times(origin, found[name].drop_null().to_pylist(), f"runs.{name}")
    for text in found["seconds"].to_pylist():
        checks.seconds(origin, text)
    for host in found["host"].drop_null().unique().to_pylist():
        origin.text(host, "runs.host", checks.LINE, "the name of a machine")
    for process in found["process"].drop_null().unique().to_pylist():
        run_process.parse(origin, process)
    rounded = meta.rounded_documents(connection)
    documents = pa.array([rounded.get(run_id, 0) for run_id in found["run_id"].to_pylist()], pa.int64())
    after = found.schema.get_field_index("unknown_documents") + 1
    found = found.add_column(after, "rounded_documents", documents)
    return dead_runs.shown(found, dead_runs.find(connection))


def _default(connection: Connection, encoding_ids: Sequence[str]) -> str | None:
    """Return the id of the default encoding. With another id the plain views would show a lake without documents."""
    found = meta.default_encoding(connection)
    if encoding_ids:
        meta.origin(connection).one_of(found, "meta default_encoding", encoding_ids)
    return found


def _in_lower_case(connection: Connection) -> frozenset[str]:
    """Return the paths of parts that may have words of a release before word keys, merged with newer ones or not."""
    last = meta.last_shard_in_lower_case(connection)
    if last is None:
        return frozenset()
    p = schema.parts.c
    is_older = or_(p.first_shard.is_(None), p.first_shard <= last)
    return frozenset(connection.scalars(select(p.path).where(p.table_name == "words", is_older)))


def _has_every_word(connection: Connection, encoding_id: str) -> bool:
    made = versions.all_outputs(connection, encoding_id)
    return all(outputs.level != "sentences" and outputs.words is None for outputs in made)


def _live_parts(connection: Connection, encoding_ids: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    p = schema.parts.c
    found: dict[tuple[str, str], list[str]] = {}
    origin = meta.origin(connection)
    for encoding_id, table, path in connection.execute(select(p.encoding_id, p.table_name, p.path).order_by(p.part_id)):
        found.setdefault((encoding_id, table), []).append(path)
    for (encoding_id, table), paths in found.items():
        origin.one_of(encoding_id, "parts.encoding_id", encoding_ids)
        checks.part_paths(origin, table, encoding_id, paths)
    return {key: tuple(paths) for key, paths in found.items()}
