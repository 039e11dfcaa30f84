"""`polyseme status` and `rejects`: what the catalog knows. No Prefect server is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from shlex import quote
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import JsonOrNot
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import LakeError

if TYPE_CHECKING:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.held_back import HeldBack
    from polyseme.storage.database.snapshot import Snapshot

_RUN_COLUMNS = (
    "run_id", "state", "started_at", "seconds_wall", "documents", "skipped", "deleted", "rejected", "tokens",
    "tokens_per_second", "lane_busy",
)  # fmt: skip


def status(
    *,
    runs: int = 5,
    default: str | None = None,
    lake: LakeOptions = LakeOptions(),
    json: JsonOrNot = False,
) -> None:
    """Show what the lake holds, which documents are stale or held back from deletion, and its last runs.

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
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.runs import DIED
    from polyseme.storage.maintenance.recording import record_dead_runs
    from polyseme.storage.sql.publish import publish
    from polyseme.storage.sql.views import runs_table
    from polyseme.tasks.inference.lake_model import by_earlier_version
    from polyseme.tasks.shards.deletion_guard import by_source

    place = lake.lake()
    with Catalog.open(place) as catalog:
        record_dead_runs(catalog)
        if default is not None:
            catalog.set_default_encoding(default)
            publish(catalog)
        snapshot = catalog.snapshot()
        remark = _published_again(catalog, snapshot)
        stale, held = catalog.staleness(), by_source(catalog.held_back())
        encodings = [
            {
                "name": e.name,
                "default": e.encoding_id == snapshot.default_encoding,
                "encoding_id": e.encoding_id,
                "model": e.spec.model,
                "context": e.spec.context,
                "layers": e.spec.layers,
                "precision": e.spec.precision,
                "width": e.spec.width,
                "earlier_model": by_earlier_version(e.spec),
                **catalog.totals(e.encoding_id),
                **asdict(stale[e.encoding_id]),
            }
            for e in snapshot.encodings
        ]
    latest = runs_table(snapshot).slice(max(0, snapshot.runs.num_rows - runs))
    last = [_run_row(row) for row in latest.to_pylist()][::-1]
    died = [row for row in latest.to_pylist() if row["state"] == DIED]
    if json:
        write_json(
            {"lake": str(place.root), "encodings": encodings, "runs": last, "rejects": snapshot.rejects.num_rows,
             "held_back": [asdict(one) for one in held]}
        )  # fmt: skip
        return
    show(f"Lake {place.root}\n\nEncodings")
    write_table(pa.Table.from_pylist(encodings), "table")
    lines = (_stale_lines(encodings, lake.root), _earlier_lines(encodings, lake.root), _held_lines(held, lake.root))
    for line in chain.from_iterable(lines):
        show(line)
    if remark:
        show(remark)
    show("\nLast runs")
    write_table(pa.Table.from_pylist(last), "table")
    for row in died:
        show(f"Run {row['run_id']} died: {row['error']}. Its {row['documents']:,} documents are committed.")
    show(f"\nRejects: {snapshot.rejects.num_rows}" + (" (polyseme rejects)" if snapshot.rejects.num_rows else ""))


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


def _stale_lines(encodings: list[dict[str, Any]], lake: str) -> list[str]:
    """Return a line for each encoding with stale documents, with the command that encodes them again.

    An encoding whose model is gone cannot be completed.
    """
    lines, place = [], quote(lake)
    for e in encodings:
        others = [o["name"] for o in encodings if o is not e]
        source = f" --from {others[0] if len(others) == 1 else 'ENCODING'}"
        if (e["missing"] or e["outdated"]) and not e["earlier_model"]:
            lines.append(
                f"{e['name']} lacks {e['missing']:,} documents and has {e['outdated']:,} with an older text: "
                f"polyseme backfill --encoding {e['name']}{source} --lake {place}"
            )
        if e["damaged"]:
            lines.append(
                f"{e['name']} has {e['damaged']:,} documents that lost rows: polyseme verify --repair --lake {place}"
            )
    return lines


def _earlier_lines(encodings: list[dict[str, Any]], lake: str) -> list[str]:
    """Return a line for each encoding of an earlier embedded model, with the command that replaces it."""
    from polyseme.tasks.inference.lake_model import RENEW

    lines = []
    for e in (e for e in encodings if e["earlier_model"]):
        present = [o for o in encodings if o["model"] == e["model"] and not o["earlier_model"]]
        same = [o for o in present if all(o[name] == e[name] for name in ("layers", "context", "precision"))]
        complete = [o["name"] for o in same if not (o["missing"] or o["outdated"] or o["damaged"])]
        # As the default, an incomplete encoding would hide the documents that it lacks.
        command = f"polyseme status --default {complete[0]}" if complete else RENEW.format(name=e["name"])
        if e["default"] or not complete:
            lines.append(
                f"{e['name']} was made by an earlier version of {e['model']}. With the present one: "
                f"{command} --lake {quote(lake)}"
            )
    return lines


def _held_lines(held: Sequence[HeldBack], lake: str) -> list[str]:
    """Return a line for each source of which documents were held back, with the command that deletes them."""
    return [
        f"{one.documents:,} documents of {one.source} held back from deletion by run {one.run_id} (it had {one.had:,}; "
        f"{one.reason}), such as {one.examples[0]}. If they are gone: polyseme embed {quote(one.source)} --lake "
        f"{quote(lake)} --delete-limit {one.confirm_with}, with the other options as before"
        for one in held
    ]


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
        show(f"{shown.num_rows} of {found.num_rows} rejects; --limit 0 shows all.")


def _run_row(row: dict[str, Any]) -> dict[str, Any]:
    wall = row["wall_seconds"]
    rate = round(row["tokens"] / wall) if wall and row["tokens"] else None
    values = {
        **row,
        "seconds_wall": wall and round(wall, 1),
        "tokens_per_second": rate,
        "lane_busy": round(row["lane_busy"], 3) if rate else None,
        "started_at": row["started_at"].isoformat()[:19],
    }
    return {name: values[name] for name in _RUN_COLUMNS}
