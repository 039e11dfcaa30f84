"""Publishing: `catalog.duckdb`, the lake as any DuckDB can open it, replaced whole and never by an older version.

Derived from the catalog, and can be rebuilt at any time. Its file lists are absolute, so that it works from any folder;
a lake that was moved is published again.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import PUBLISHED, Lake
from polyseme.storage.sql.views import HIDDEN, explained, install


def publish(catalog: Catalog, *, anew: bool = False) -> int:
    """Bring `catalog.duckdb` up to date and return the catalog version it shows. Raises LakeError.

    `anew` builds it even if it seems to be up to date. The snapshot is taken under the publishing lock: a process that
    gets the lock later publishes a version that is at least as new.
    """
    lake = catalog.lake
    with catalog.publishing():
        snapshot = catalog.snapshot()
        if anew or not _is_current(lake, snapshot):
            _replace(lake, snapshot)
        return snapshot.catalog_version


def published(lake: Lake) -> tuple[int, str, str] | None:
    """Return `(catalog_version, lake_id, root)` of the published file; None if it is missing or cannot be read."""
    try:
        with lake.files.fetched(PUBLISHED) as found, duckdb.connect(str(found), read_only=True) as con:
            row = con.execute(f"SELECT catalog_version, lake_id, root FROM {HIDDEN}.meta").fetchone()
    except (FileNotFoundError, duckdb.Error, UnicodeDecodeError):
        return None
    return row


def _is_current(lake: Lake, snapshot: Snapshot) -> bool:
    found = published(lake)
    return (
        found is not None and found[0] >= snapshot.catalog_version and found[1:] == (snapshot.lake_id, str(lake.root))
    )


def _replace(lake: Lake, snapshot: Snapshot) -> None:
    with lake.files.new(PUBLISHED) as made:
        try:
            with explained(lake), duckdb.connect(str(made)) as con:
                install(con, snapshot, lake)
                con.execute("CHECKPOINT")
        finally:
            Path(f"{made}.wal").unlink(missing_ok=True)
        # A log that a writer left behind belongs to the replaced file, and would be replayed into this one.
        lake.files.remove([f"{PUBLISHED}.wal"])
