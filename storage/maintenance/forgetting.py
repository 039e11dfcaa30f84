"""Forgetting: what a catalog keeps of the past is dropped once nothing needs it, so that it does not grow with runs.

Retired parts whose grace period is over go with their files, as in a vacuum; shards that no retry can name; documents
that were deleted a month ago, which a restore could show until then; runs but the newest.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import deletions, part_rows, runs
from polyseme.storage.maintenance.vacuum import GRACE, remove_retired
from polyseme.storage.sql.publish import publish

RESTORABLE = timedelta(days=30)
"""How long a deleted document can be restored if no vacuum ends that earlier."""
RUNS_KEPT = 500


def forget(catalog: Catalog, *, now: datetime) -> None:
    """Drop what nothing needs at `now`. Publishes first if files go: the published lake may name them."""
    before = (now - GRACE).isoformat(timespec="microseconds")
    with catalog.reading() as connection:
        expired = part_rows.retired(connection, before=before)
    with catalog.writing() as connection:
        deletions.forget_older(connection, than=(now - RESTORABLE).isoformat(timespec="microseconds"))
        runs.forget_shards(connection, before=before)
        runs.forget_old(connection, keep=RUNS_KEPT)
    if expired:
        publish(catalog)
        remove_retired(catalog, [part.path for part in expired])
