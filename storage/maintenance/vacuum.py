"""Vacuum: find the files of a lake that are no longer needed, and remove them; end the time for restoring documents.

There are three kinds. *Retired* parts were replaced, and are removed once the grace period for readers is over.
*Scratch* is what a run that died left behind: temporary files and staged texts. *Unknown* files are named like parts,
but are not in the catalog: a killed writer left them, or they belong to a catalog that was lost. They are removed only
on request. Other files in the lake's folder are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import deletions, part_rows, read_files, runs, versions
from polyseme.storage.errors import UsageError
from polyseme.storage.files.protocol import FileInfo
from polyseme.storage.schemas import TABLES
from polyseme.storage.search import index
from polyseme.storage.sql import kept_documents, kept_signatures, kept_sums
from polyseme.storage.sql.publish import publish

GRACE = timedelta(hours=24)
"""How long a reader may use the snapshot it opened, and a writer may take between a part and its commit."""

_PART = re.compile(rf"data/({'|'.join(TABLES)})/encoding=[^/]+/[0-9a-f]{{32}}\.parquet")
_STAGED = re.compile(r"staging/[^/]+")
_ANYTHING = re.compile(r".*")
_FILES_A_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that is not needed; its path is relative to the lake's root."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What a vacuum removes (`unknown` only on request), and retired parts `waiting` for the grace period to end."""

    retired: tuple[Leftover, ...]
    scratch: tuple[Leftover, ...]
    unknown: tuple[Leftover, ...]
    waiting: tuple[Leftover, ...]


def find_leftovers(catalog: Catalog, *, grace: timedelta, now: datetime) -> Leftovers:
    """Return the files that are not needed at `now`. Changes nothing. Raises UsageError for a negative grace period."""
    if grace < timedelta(0):
        raise UsageError(f"The grace period must not be negative, got {grace}.")
    before = now - grace
    files = catalog.lake.files
    parts = _old(_PART, before, files.listed("data"))
    half = _old(_ANYTHING, before, files.unfinished())
    staged = _old(_STAGED, before, files.folders("staging"))
    with catalog.reading() as connection:
        retired = part_rows.retired(connection)
        known = part_rows.known_paths(connection, [found.path for found in parts])
        busy = runs.active(connection, since=before.isoformat(timespec="microseconds"))
    old = [part for part in retired if datetime.fromisoformat(part.retired_at) <= before]
    return Leftovers(
        retired=tuple(Leftover(part.path, part.bytes) for part in old),
        scratch=(*half, *(run for run in staged if run.path.rsplit("/", 1)[-1] not in busy)),
        unknown=tuple(part for part in parts if part.path not in known),
        waiting=tuple(Leftover(part.path, part.bytes) for part in retired[len(old) :]),
    )


def vacuum(
    catalog: Catalog,
    *,
    grace: timedelta = GRACE,
    now: datetime,
    unknown: bool = False,
    progress: Callable[[int], None] = lambda files: None,
) -> Leftovers:
    """Remove what `find_leftovers` finds, unknown parts only if `unknown`. Return what was found.

    Documents that were deleted before the grace period cannot be restored from now on: the next compaction drops their
    rows, and a vacuum after it the files that had them. What this user's cache folder has of documents that are gone is
    removed too. `progress` is called with the number of files just removed.
    """
    # The published file may still name retired parts: publish first, so that new readers get one without them.
    publish(catalog)
    found = find_leftovers(catalog, grace=grace, now=now)
    files = catalog.lake.files
    with catalog.writing() as connection:
        deletions.forget_older(connection, than=(now - grace).isoformat(timespec="microseconds"))
        read_files.forget_gone(connection)
    remove_retired(catalog, [part.path for part in found.retired], progress=progress)
    for scratch in found.scratch:
        files.remove_folder(scratch.path) if _STAGED.fullmatch(scratch.path) else files.remove([scratch.path])
        progress(1)
    for some in _batches([part.path for part in found.unknown] if unknown else ()):
        # Inside the write transaction: a writer that was stopped for longer than the grace period commits before it,
        # and its parts are known, or after it, and finds them gone.
        with catalog.writing() as connection:
            known = part_rows.known_paths(connection, some)
            files.remove([path for path in some if path not in known])
        progress(len(some))
    _forget_kept(catalog)
    return found


def _forget_kept(catalog: Catalog) -> None:
    def live() -> frozenset[str]:
        with catalog.reading() as connection:
            return versions.live_contents(connection)

    snapshot = catalog.snapshot()
    kept_sums.forget_gone(snapshot)
    kept_documents.forget_gone(snapshot)
    index.forget_gone(snapshot, catalog.lake)
    kept_signatures.forget_gone(catalog.lake_id, live)


def remove_retired(
    catalog: Catalog, paths: Sequence[str], *, progress: Callable[[int], None] = lambda files: None
) -> None:
    """Remove the files of retired parts and forget them. Publish before: new readers must not get them."""
    for some in _batches(paths):
        with catalog.writing() as connection:
            catalog.lake.files.remove(some)
            part_rows.forget_retired(connection, some)
        progress(len(some))


def _old(pattern: re.Pattern[str], before: datetime, found: Iterable[FileInfo]) -> list[Leftover]:
    """Return the files whose path matches and that last changed before then."""
    return [Leftover(f.path, f.bytes) for f in found if pattern.fullmatch(f.path) and f.modified < before]


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(paths)
    while some := list(islice(rest, _FILES_A_TRANSACTION)):
        yield some
