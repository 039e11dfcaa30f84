"""Quarantine: broken parts are retired, and the documents that had rows in them are marked to be encoded again.

Encodes nothing: a marked document is stale, and the next run over its source or the next backfill encodes it. Which
documents had rows in a broken part follows from what the other parts lack, since the part itself cannot be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from sqlalchemy import Connection

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows, versions
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot, take_snapshot
from polyseme.storage.database.staleness import mark_damaged
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.literals import escaped
from polyseme.storage.sql.views import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What a repair did to one encoding: paths of `retired` parts, ids of `stale` documents.

    Those of them that are `lost` have no text left in the lake: their source has to be read again.
    """

    encoding: str
    retired: tuple[str, ...]
    stale: tuple[str, ...]
    lost: tuple[str, ...]


def repair(catalog: Catalog, broken: frozenset[str]) -> list[RepairReport]:
    """Retire the parts `broken`, by path, and mark the documents with rows in them. One transaction per encoding."""
    done = []
    for encoding in catalog.encodings():
        with catalog.writing() as connection:
            parts = [
                part
                for part in part_rows.live_parts(connection, encoding_id=encoding.encoding_id)
                if part.path in broken
            ]
            if not parts:
                continue
            live = _live(connection, encoding.encoding_id)
            tables = {part.table for part in parts}
            stale = _affected(catalog.lake, take_snapshot(connection).without_parts(broken), encoding, live, tables)
            part_rows.retire(
                connection, parts, reason="broken", at=datetime.now(UTC).isoformat(timespec="microseconds")
            )
            mark_damaged(connection, encoding.encoding_id, list(stale))
            meta.raise_catalog_version(connection)
        lost = tuple(doc_id for doc_id, has_text in stale.items() if not has_text)
        retired = tuple(part.path for part in parts)
        done.append(RepairReport(encoding=encoding.name, retired=retired, stale=tuple(stale), lost=lost))
    return done


def _live(connection: Connection, encoding_id: str) -> pa.Table:
    """Return the live documents `(doc_id, n_tokens, words, some_words, tokens, nsp)` with the rows they should have."""
    live = versions.live_versions(connection, encoding_id)
    outputs = [Outputs.from_json(text) for text in live["outputs"].to_pylist()]
    return pa.table(
        {
            "doc_id": live["doc_id"],
            "n_tokens": live["n_tokens"],
            "words": pa.array([o.level != "sentences" for o in outputs], pa.bool_()),
            "some_words": pa.array([o.words is not None for o in outputs], pa.bool_()),
            "tokens": pa.array([o.level == "tokens" for o in outputs], pa.bool_()),
            "nsp": pa.array([o.nsp for o in outputs], pa.bool_()),
        }
    )


def _affected(lake: Lake, snapshot: Snapshot, encoding: Encoding, live: pa.Table, tables: set[str]) -> dict[str, bool]:
    """Return the ids of the documents that lack rows, and whether their text is left."""
    with explained(lake), open_snapshot(snapshot, lake) as con:
        con.register("live", live)
        rows = con.execute(
            _LACKING.format(
                name=escaped(encoding.name), words_broken="words" in tables, tokens_broken="tokens" in tables
            )
        ).fetchall()
    return dict(rows)


_LACKING = """
WITH sentence AS (
    SELECT doc_id, count(*) AS n FROM "sentences_{name}" GROUP BY doc_id
), step AS (
    SELECT doc_id, count(*) AS n FROM "transitions_{name}" WHERE kind = 'adjacent' GROUP BY doc_id
), wordless AS (
    SELECT DISTINCT doc_id FROM "sentences_{name}" AS s ANTI JOIN "words_{name}" AS w
    ON w.doc_id = s.doc_id AND w.sentence_index = s.sentence_index WHERE s.n_tokens > 0
), token AS (
    SELECT doc_id, count(*) AS n FROM "tokens_{name}" GROUP BY doc_id
)
SELECT live.doc_id, d.doc_id IS NOT NULL AS has_text
FROM live
LEFT JOIN "documents_{name}" AS d USING (doc_id)
LEFT JOIN sentence USING (doc_id)
LEFT JOIN step USING (doc_id)
LEFT JOIN token USING (doc_id)
WHERE d.doc_id IS NULL
    OR coalesce(sentence.n, 0) <> d.n_sentences
    OR (nsp AND coalesce(step.n, 0) <> greatest(d.n_sentences - 1, 0))
    -- If only some words were kept, their number is unknown: all such documents are encoded again.
    OR (words AND {words_broken} AND (some_words OR live.doc_id IN (FROM wordless)))
    OR (tokens AND {tokens_broken} AND coalesce(token.n, 0) <> live.n_tokens)
ORDER BY ALL
"""
