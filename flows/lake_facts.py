"""The facts of a lake's status: what it holds, what its last runs did, what was refused, what is stale or left to do.

`polyseme status` and the overview of the explorer show them. They are read from the catalog and from which files are
there; nothing is written, and no source is looked at: what has changed there, the next run finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from json import loads
from typing import Any

from polyseme.flows.display.to_do import to_do
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.runs import RUNNING
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.database.staleness import Staleness
from polyseme.storage.maintenance.broken_parts import broken_parts
from polyseme.storage.maintenance.vacuum import GRACE
from polyseme.storage.sql.views import runs_table
from polyseme.tasks.inference.lake_model import by_earlier_version
from polyseme.tasks.shards.deletion_guard import by_source
from polyseme.tasks.text.sentences import has_better

Facts = dict[str, Any]
"""What `polyseme status --json` shows, by name."""

_RUN_COLUMNS = (
    "run_id", "encoding_id", "state", "started_at", "seen_at", "host", "seconds_wall", "documents", "skipped",
    "redescribed", "deleted", "rejected", "sentences", "reused_sentences", "tokens", "reused_tokens",
    "unknown_tokens", "unknown_documents", "rounded_documents",
    "tokens_per_second", "lane_busy", "sources", "error",
)  # fmt: skip
_LOOKED_AT = 20
"""Runs, of the last, that are looked at for one that has to be repeated."""


def lake_facts(catalog: Catalog, snapshot: Snapshot, *, runs: int, place: str) -> Facts:
    """Return the facts with the last `runs`; `place` is how commands to paste name the lake."""
    broken = broken_parts(catalog)
    stale, held = catalog.staleness(), by_source(catalog.held_back())
    encodings = [_encoding_row(e, catalog, snapshot, stale[e.encoding_id]) for e in snapshot.encodings]
    begun = [_run_row(row) for row in runs_table(snapshot).to_pylist()][::-1]
    latest = begun[: max(runs, _LOOKED_AT)]
    replaced = _replaced_parts(catalog, datetime.now(UTC))
    return {
        "lake": str(catalog.lake.root),
        "encodings": encodings,
        "runs": latest[:runs],
        "running": [run for run in begun if run["state"] == RUNNING],
        "rejects": snapshot.rejects.num_rows,
        "rejects_by_code": dict(sorted(Counter(snapshot.rejects["code"].to_pylist()).items())),
        "skipped": snapshot.skipped.to_pylist(),
        "broken_parts": list(broken),
        "held_back": [asdict(one) for one in held],
        "replaced_parts": replaced,
        "to_do": [asdict(one) for one in to_do(encodings, held, latest, place, broken=broken, replaced=replaced)],
    }


def _encoding_row(e: Encoding, catalog: Catalog, snapshot: Snapshot, stale: Staleness) -> dict[str, Any]:
    return {
        "name": e.name,
        "default": e.encoding_id == snapshot.default_encoding,
        "encoding_id": e.encoding_id,
        "model": e.spec.model,
        "context": e.spec.context,
        "layers": e.spec.layers,
        "precision": e.spec.precision,
        "pooling": e.spec.pooling,
        "normalize": e.spec.normalize,
        "dense": bool(e.spec.dense),
        "max_tokens": e.spec.max_tokens,
        "prompt": e.spec.prompt,
        "query_prompt": e.spec.query_prompt,
        "width": e.spec.width,
        "splitter": e.spec.splitter,
        "language": e.spec.language or "en",
        "markdown": e.spec.markdown,
        "join_hyphens": e.spec.join_hyphens,
        "store": e.spec.store,
        "earlier_splitter": has_better(e.spec.splitter),
        "earlier_model": by_earlier_version(e.spec),
        **catalog.totals(e.encoding_id),
        "superseded": snapshot.superseded["encoding_id"].to_pylist().count(e.encoding_id),
        **asdict(stale),
    }


def _replaced_parts(catalog: Catalog, now: datetime) -> dict[str, int]:
    """Return how many parts that were replaced are still there, and how many of them a vacuum would remove by now.

    What killed writers left is not counted: that takes a list of all files, as `polyseme vacuum --dry-run` makes.
    """
    with catalog.reading() as connection:
        parts = part_rows.retired(connection)
    due = [part for part in parts if datetime.fromisoformat(part.retired_at) <= now - GRACE]
    return {
        "parts": len(parts),
        "bytes": sum(part.bytes for part in parts),
        "removable_parts": len(due),
        "removable_bytes": sum(part.bytes for part in due),
    }


def _run_row(row: dict[str, Any]) -> dict[str, Any]:
    wall = row["wall_seconds"]
    rate = round(row["tokens"] / wall) if wall and row["tokens"] else None
    values = {
        **row,
        "seconds_wall": wall and round(wall, 1),
        "tokens_per_second": rate,
        "lane_busy": round(row["lane_busy"], 3) if rate else None,
        "started_at": row["started_at"].isoformat()[:19],
        "seen_at": row["seen_at"] and row["seen_at"][:19],
        "sources": _sources(row["sources"]),
    }
    return {name: values[name] for name in _RUN_COLUMNS if name in values}


def _sources(stored: str) -> Sequence[str]:
    """Return the sources of a run; none if the catalog has something else there."""
    try:
        found = loads(stored)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(source, str) for source in found) else []
