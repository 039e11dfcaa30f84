"""`polyseme status` and `rejects`: what the catalog knows. No Prefect server is needed."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import JsonOrNot
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import LakeError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.snapshot import Snapshot

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
    from polyseme.flows.lake_facts import lake_facts
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.maintenance.recording import record_dead_runs
    from polyseme.storage.sql.publish import publish

    with Catalog.open(lake.lake()) as catalog:
        record_dead_runs(catalog)
        if default is not None:
            catalog.set_default_encoding(default)
            publish(catalog)
        snapshot = catalog.snapshot()
        remark = _published_again(catalog, snapshot)
        found = lake_facts(catalog, snapshot, runs=runs, place=lake.root)
    if json:
        write_json(found)
        return
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else _WIDTH
    for line in screen(found, now=datetime.now(UTC), width=width, wrap=on_terminal):
        show(line)
    if remark:
        show(remark)


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
