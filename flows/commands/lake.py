"""`polyseme status` and `rejects`: what the catalog knows. No Prefect server is needed."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from json import loads
from typing import TYPE_CHECKING, Any

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import JsonOrNot
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import LakeError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.encodings import Encoding
    from polyseme.storage.database.snapshot import Snapshot
    from polyseme.storage.database.staleness import Staleness

_RUN_COLUMNS = (
    "run_id", "encoding_id", "state", "started_at", "seen_at", "host", "seconds_wall", "documents", "skipped",
    "redescribed", "deleted", "rejected", "sentences", "reused_sentences", "tokens", "reused_tokens",
    "unknown_tokens", "unknown_documents",
    "tokens_per_second", "lane_busy", "sources", "error",
)  # fmt: skip
_LOOKED_AT = 20
"""Runs, of the last, that are looked at for one that has to be repeated."""
_WIDTH = 100
"""Characters of a line where there is no terminal."""


def status(
    *,
    runs: int = 5,
    default: str | None = None,
    lake: LakeOptions = LakeOptions(),
    json: JsonOrNot = False,
) -> None:
    """Show what the lake holds, what its last runs did, what they refused, and what to do next.

    Stale documents are missing in an encoding, outdated (another encoding has a later text), or damaged (a broken part
    was taken out): polyseme backfill encodes them again.

    Example: polyseme status --lake ./lake --runs 3

    Parameters
    ----------
    runs
        Show this many of the last runs.
    default
        Make this encoding, e.g. polyseme_mini, the one that views without a suffix show.
    """
    from polyseme.flows.display.lake_status import screen
    from polyseme.flows.display.to_do import to_do
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.runs import RUNNING
    from polyseme.storage.maintenance.broken_parts import broken_parts
    from polyseme.storage.maintenance.recording import record_dead_runs
    from polyseme.storage.sql.publish import publish
    from polyseme.storage.sql.views import runs_table
    from polyseme.tasks.shards.deletion_guard import by_source

    place = lake.lake()
    with Catalog.open(place) as catalog:
        record_dead_runs(catalog)
        if default is not None:
            catalog.set_default_encoding(default)
            publish(catalog)
        snapshot = catalog.snapshot()
        remark = _published_again(catalog, snapshot)
        broken = broken_parts(catalog)
        stale, held = catalog.staleness(), by_source(catalog.held_back())
        encodings = [_encoding_row(e, catalog, snapshot, stale[e.encoding_id]) for e in snapshot.encodings]
    begun = [_run_row(row) for row in runs_table(snapshot).to_pylist()][::-1]
    latest = begun[: max(runs, _LOOKED_AT)]
    found = {
        "lake": str(place.root),
        "encodings": encodings,
        "runs": latest[:runs],
        "running": [run for run in begun if run["state"] == RUNNING],
        "rejects": snapshot.rejects.num_rows,
        "rejects_by_code": dict(sorted(Counter(snapshot.rejects["code"].to_pylist()).items())),
        "skipped": snapshot.skipped.to_pylist(),
        "broken_parts": list(broken),
        "held_back": [asdict(one) for one in held],
        "to_do": [asdict(one) for one in to_do(encodings, held, latest, lake.root, broken=broken)],
    }
    if json:
        write_json(found)
        return
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else _WIDTH
    for line in screen(found, now=datetime.now(UTC), width=width, wrap=on_terminal):
        show(line)
    if remark:
        show(remark)


def _encoding_row(e: Encoding, catalog: Catalog, snapshot: Snapshot, stale: Staleness) -> dict[str, Any]:
    from polyseme.tasks.inference.lake_model import by_earlier_version
    from polyseme.tasks.text.sentences import has_better

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


def _published_again(catalog: Catalog, snapshot: Snapshot) -> str:
    """Publish a catalog that was restored from a copy, and return a line about it; empty if there is nothing to do."""
    from polyseme.storage.sql.publish import publish, read_foreign

    if read_foreign(catalog, snapshot) is None:
        return ""
    try:
        publish(catalog)
    except LakeError as error:
        return f"catalog.duckdb shows another state of this lake's catalog, which was restored: {error}"
    return "catalog.duckdb showed another state of this lake's catalog, which was restored; it was published again."


def rejects(*, limit: int = 100, lake: LakeOptions = LakeOptions(), json: JsonOrNot = False) -> None:
    """List the input that was refused by the last scan of each source, and why.

    Example: polyseme rejects --limit 0 --json

    Parameters
    ----------
    limit
        Show at most this many rows; 0 for all.
    """
    from polyseme.storage.catalog import Catalog

    with Catalog.open(lake.lake()) as catalog:
        found = catalog.snapshot().rejects
    shown = found.slice(0, limit) if limit else found
    columns = ["uri", "locator", "stage", "code", "message", "excerpt"]
    write_table(shown.select(columns), "json" if json else "table")
    if shown.num_rows < found.num_rows and not json:
        show(f"{shown.num_rows} of {many(found.num_rows, 'rejects')}; --limit 0 shows all.")


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


def _sources(stored: str) -> list[str]:
    """Return the sources of a run; none if the catalog has something else there."""
    try:
        found = loads(stored)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(source, str) for source in found) else []
