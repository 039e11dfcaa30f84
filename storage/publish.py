"""Publishing: `catalog.duckdb`, the lake as any DuckDB can open it, replaced whole and never by an older one.

Derived from the catalog and rebuildable at any time. Its file lists are absolute, so that it answers from any folder;
a lake that was moved is published again.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import duckdb
from filelock import FileLock, Timeout

from storage.catalog import Catalog
from storage.errors import LakeError
from storage.lake import Lake, fsync_folder
from storage.snapshot import Snapshot
from storage.views import HIDDEN, install, readable

_LOCK_SECONDS = 60.0


def publish(catalog: Catalog, *, anew: bool = False) -> int:
    """Bring `catalog.duckdb` up to date and return the catalog version it shows. Raises LakeError.

    `anew` builds it even where it seems to be up to date. The snapshot is taken inside the lock: whoever comes later
    publishes something at least as new.
    """
    lake = catalog.lake
    try:
        with FileLock(lake.root / ".publish.lock", timeout=_LOCK_SECONDS):
            snapshot = catalog.snapshot()
            if anew or not _is_current(lake, snapshot):
                _replace(lake, snapshot)
            return snapshot.catalog_version
    except Timeout as e:
        raise LakeError(
            f"Another process has been publishing {lake.published_path} for {_LOCK_SECONDS:g} seconds. "
            "Find it, let it finish or end it, and run again."
        ) from e


def published(lake: Lake) -> tuple[int, str, str] | None:
    """Return `(catalog_version, lake_id, root)` of the published file; None where it is missing or cannot be read."""
    if not lake.published_path.is_file():
        return None
    try:
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            row = con.execute(f"SELECT catalog_version, lake_id, root FROM {HIDDEN}.meta").fetchone()
    except duckdb.Error:
        return None
    return row


def _is_current(lake: Lake, snapshot: Snapshot) -> bool:
    found = published(lake)
    return (
        found is not None and found[0] >= snapshot.catalog_version and found[1:] == (snapshot.lake_id, str(lake.root))
    )


def _replace(lake: Lake, snapshot: Snapshot) -> None:
    temporary = lake.root / f".{lake.published_path.name}.{uuid4().hex}.tmp"
    try:
        with readable(lake), duckdb.connect(str(temporary)) as con:
            install(con, snapshot, lake)
            con.execute("CHECKPOINT")
        _fsync(temporary)
        # A log that some writer left behind belongs to the file it replaces, and would be replayed into this one.
        _log_of(lake.published_path).unlink(missing_ok=True)
        temporary.replace(lake.published_path)
        fsync_folder(lake.root)
    finally:
        temporary.unlink(missing_ok=True)
        _log_of(temporary).unlink(missing_ok=True)


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
