"""Work: what one child does to the lake. A run as the flow makes it, without Prefect; maintenance; a look at the lake.

Shards are small here, so that a run has several and can be killed between them. Returns plain values.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from polyseme.flows.signals.ending import ended_by_signals
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import MissingLakeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import backup, restoring
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, Outputs
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.publish import publish
from polyseme.storage.staging import remove_staging
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading import local_file
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import list_sources
from polyseme.tasks.shards import scan as scan_module
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.known_sources import known_to
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard

LEAN = Outputs("sentences", None, False)
_SHARD_CHARS = 900
_SETTLED_SECONDS = 0.03
"""After which a file counts as settled here: a few ticks of the file system's clock."""
HOUR = timedelta(hours=1)


def embed(root: Path, specs: Sequence[str], engine: Engine, *, limit: str | None) -> dict[str, Any]:
    """Bring the lake up to date with sources, as `polyseme embed` does, and say how it ended."""
    scan_module.shard_chars = lambda ordinal: _SHARD_CHARS  # type: ignore[assignment]
    local_file.SETTLED_NS = int(_SETTLED_SECONDS * 1e9) - 5_000_000
    time.sleep(_SETTLED_SECONDS)  # so that the next run need not open what this one reads
    lake, run_id = Lake(root), uuid4().hex[:12]
    with ended_by_signals():
        try:
            sources = resolve(specs, lake=lake, known=known_to(lake))
        except UsageError as error:
            return {"state": "refused", "error": str(error)}
        with Catalog.create_or_open(lake) as catalog:
            catalog.register_encoding(engine.spec)
            encoding_id = engine.spec.encoding_id
            version = catalog.begin_run(run_id, encoding_id, list(specs))
            scan = Scan(catalog, lake, run_id, version, encoding_id, LEAN, sources)
            counts, state, error = Counts(), "completed", None
            try:
                for shard in scan.shards(list_sources(sources, ReadOptions(), stdin=io.BytesIO())):
                    counts += commit_shard(encode_shard(shard, lake, catalog, engine), catalog)
                scan.retire_rejects(sources)
                scan.delete_gone(sources, DeletionLimit.parse(limit))
                state = "held-back" if scan.held_back else "completed"
            except BaseException as ended:
                state, error = "failed" if isinstance(ended, Exception) else "cancelled", str(ended) or repr(ended)
            finally:
                scan.close()
                remove_staging(lake, run_id)
            tally = scan.tally
            catalog.finish_run(
                run_id, state, counts, skipped=tally.unchanged, deleted=tally.deleted, rejected=tally.rejected,
                error=error,
            )  # fmt: skip
            publish(catalog)
    return {"state": state, "error": error, "deleted": tally.deleted, "new": tally.new, "changed": tally.changed,
            "unopened": tally.unopened}  # fmt: skip


def maintain(root: Path, what: str, kept: Path, *, seconds: float, chance: random.Random) -> dict[str, Any]:
    """Do one piece of maintenance. `seconds` is vacuum's grace period; `restore` picks a few deleted documents."""
    lake = Lake(root)
    done: dict[str, Any] = {"state": "completed"}
    if what == "replace":
        backup.restore(Lake(kept), lake, replace=True)
        return done
    with Catalog.open(lake) as catalog:
        if what == "vacuum":
            vacuum(catalog, grace=timedelta(seconds=seconds), now=_now(), unknown=chance.random() < 0.5)
        elif what == "compact":
            compact(catalog)
        elif what == "publish":
            publish(catalog)
        elif what == "backup":
            backup.backup(catalog, Lake(kept))
        elif what == "verify":
            done["faults"] = _faults(catalog)
        elif what == "restore":
            deleted = restoring.deleted_documents(catalog)
            some = chance.sample(deleted, min(len(deleted), 3))
            done["restored"] = [d.doc_id for d in restoring.restore(catalog, some).documents]
            publish(catalog)
    return done


def look(root: Path) -> dict[str, Any]:
    """Return what the lake has: documents and held deletions by encoding, rejects, and what is wrong in itself."""
    lake = Lake(root)
    found: dict[str, Any] = {"state": "completed", "documents": {}, "held": [], "rejects": [], "faults": []}
    try:
        catalog = Catalog.open(lake)
    except MissingLakeError:
        return found
    with catalog:
        snapshot = catalog.snapshot()
        found["held"] = [[h.encoding_id, h.source, h.documents, h.had, h.reason] for h in catalog.held_back()]
        rejects = snapshot.rejects.select(["uri", "code", "doc_id"]).to_pydict()
        found["rejects"] = list(zip(rejects["uri"], rejects["code"], rejects["doc_id"], strict=True))
    if snapshot.default is None:
        return found
    with open_snapshot(snapshot, lake) as con:
        for encoding in snapshot.encodings:
            view = "" if encoding.name == snapshot.default.name else f"_{encoding.name}"
            rows = con.execute(f'SELECT doc_id, uri, text FROM "documents{view}" ORDER BY ALL').fetchall()
            sentences = con.execute(
                f"SELECT doc_id, string_agg(text, '' ORDER BY sentence_index) FROM \"sentences{view}\" GROUP BY 1"
            ).fetchall()
            found["documents"][encoding.encoding_id] = rows
            found["faults"] += _differences(rows, dict(sentences))
    return found


def _differences(rows: Sequence[tuple[str, str, str]], sentences: dict[str, str]) -> list[str]:
    bad = [f"{doc_id} is there twice" for (doc_id, _, _), (other, _, _) in pairwise(rows) if doc_id == other]
    for doc_id, _, text in rows:
        if "".join(text.split()) != "".join(sentences.get(doc_id, "").split()):
            bad.append(f"the sentences of {doc_id} are {sentences.get(doc_id)!r}, its text is {text!r}")
    bad += [f"sentences of {doc_id}, which is no document" for doc_id in sentences.keys() - {row[0] for row in rows}]
    return bad


def check(root: Path) -> dict[str, Any]:
    """Return the faults that `verify` finds."""
    with Catalog.open(Lake(root)) as catalog:
        return {"state": "completed", "faults": _faults(catalog)}


def _faults(catalog: Catalog) -> list[str]:
    found = verify(catalog, grace=timedelta(days=40_000), now=_now()).findings
    return [f"{f.kind} {f.subject}: {f.message}" for f in found]


def _now() -> datetime:
    return datetime.now(UTC)
