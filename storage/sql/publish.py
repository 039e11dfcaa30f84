"""Publishing: `catalog.duckdb`, the lake as any DuckDB can open it, replaced whole and never by an older version.

Derived from the catalog, and can be rebuilt at any time. It works from any folder, and goes with its lake where that is
copied or moved (see `relocation`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import PUBLISHED, Lake
from polyseme.storage.sql.installing import install
from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.relocation import VARIABLE
from polyseme.storage.sql.row_places import HIDDEN
from polyseme.storage.sql.views import explained

_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "lock_configuration": "true",
}
_IS_TABLE = "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = 'meta' AND NOT temporary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a published file shows: which state of which catalog, and the lake's address when it was written."""

    catalog_version: int
    epoch: str
    lake_id: str
    root: str

    def is_of(self, snapshot: Snapshot, lake: Lake) -> bool:
        """Return True if the file shows this snapshot: a higher version of another epoch does not."""
        mine = (snapshot.epoch, snapshot.lake_id, str(lake.root))
        return self.catalog_version >= snapshot.catalog_version and (self.epoch, self.lake_id, self.root) == mine

    def is_of_another_state(self, snapshot: Snapshot) -> bool:
        """Return True if the catalog was restored or replaced since, and False for a file that is only behind."""
        ahead = self.catalog_version >= snapshot.catalog_version and self.epoch != snapshot.epoch
        return ahead or self.lake_id != snapshot.lake_id


def publish(catalog: Catalog, *, anew: bool = False, at: Lake | None = None) -> int:
    """Bring `catalog.duckdb` up to date and return the catalog version it shows. Raises LakeError.

    `at` is where the lake will be read, if that is not where it is; the next run publishes for here again. Raises
    UsageError if DuckDB could not open files there.
    `anew` builds it even if it seems to be up to date. The snapshot is taken under the publishing lock, so that a
    process that gets the lock later publishes a version that is at least as new. A file with a higher version is of a
    catalog that has been restored from a copy since, and is replaced.
    """
    lake = catalog.lake
    if at is not None:
        at.require_name()
    with catalog.publishing():
        snapshot = catalog.snapshot()
        found = None if anew or at else read_published(lake)
        if found is None or not found.is_of(snapshot, lake):
            _replace(lake, snapshot, str((at or lake).root))
        return snapshot.catalog_version


def published(lake: Lake) -> tuple[int, str, str] | None:
    """Return `(catalog_version, lake_id, root)` of the published file; None as `read_published` does."""
    found = read_published(lake)
    return None if found is None else (found.catalog_version, found.lake_id, found.root)


def read_published(lake: Lake) -> Published | None:
    """Return what the published file shows; None if it is missing, of an earlier release, or cannot be read.

    Raises LakeError if the file or its log is a link, a pipe or a folder: DuckDB would wait for a pipe.
    """
    with suppress(FileNotFoundError):
        _require_file(lake, f"{PUBLISHED}.wal")
    try:
        with lake.files.fetched(PUBLISHED) as found, duckdb.connect(str(found), read_only=True, config=_LOCKED) as con:
            # A view of that name would be somebody else's SQL.
            if not con.execute(_IS_TABLE, [HIDDEN]).fetchall():
                return None
            row = con.execute(f"SELECT catalog_version, epoch, lake_id, root FROM {HIDDEN}.meta").fetchone()
    except (FileNotFoundError, duckdb.Error, UnicodeDecodeError):
        return None
    if row is None or not isinstance(row[0], int) or not all(isinstance(text, str) for text in row[1:]):
        return None
    return Published(catalog_version=row[0], epoch=row[1], lake_id=row[2], root=row[3])


def read_foreign(catalog: Catalog, snapshot: Snapshot) -> Published | None:
    """Return what the published file shows if the catalog was restored or replaced since; else None."""
    found = read_published(catalog.lake)
    if found is None or not found.is_of_another_state(snapshot):
        return None
    # A run may have published after that snapshot; after this one the file cannot be ahead.
    return found if found.is_of_another_state(catalog.snapshot()) else None


def _require_file(lake: Lake, path: str) -> None:
    """Raise LakeError unless there is a plain file. In an object store there is nothing else."""
    if isinstance(lake.root, Path):
        with lake.files.fetched(path):
            pass


def _replace(lake: Lake, snapshot: Snapshot, at: str) -> None:
    with lake.files.new(PUBLISHED) as made:
        try:
            with explained(lake), duckdb.connect(str(made)) as con:
                _allow_parts_only(con, snapshot, lake)
                con.execute(f"SET VARIABLE {VARIABLE} = {quote(str(lake.root))}")
                install(con, snapshot, lake, at=at)
                con.execute("CHECKPOINT")
        finally:
            Path(f"{made}.wal").unlink(missing_ok=True)
        # A log that a writer left behind belongs to the replaced file, and would be replayed into this one.
        lake.files.remove([f"{PUBLISHED}.wal"])


def _allow_parts_only(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Let views be made over the live parts and over no other file; the database itself is open already."""
    files = [quote(str(lake.part_path(path))) for paths in snapshot.parts.values() for path in paths]
    con.execute(f"SET allowed_paths = [{', '.join(files)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
