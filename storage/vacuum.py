"""Vacuum: which files of a lake nobody needs any more, and removing them.

Three kinds. *Retired* parts were replaced, and go once the grace period for readers is over. *Scratch* is what a run
that died left half done: temporary files and staged texts. *Unknown* files are named like parts and no catalog knows
them: what a killed writer left, or what belongs to a catalog that was lost; those go only on request. Anything else
in the lake's folder is never touched.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from storage import swaps
from storage.catalog import Catalog
from storage.errors import UsageError
from storage.lake import Lake
from storage.publish import publish
from storage.schemas import TABLES

GRACE = timedelta(hours=24)
"""How long a reader may go on with the snapshot it opened, and a writer take between a part and its commit."""

_PART = re.compile(r"[0-9a-f]{32}\.parquet")
_HALF_A_PART = re.compile(r"\.[0-9a-f]{32}\.parquet\.tmp")
_HALF_A_CATALOG = re.compile(r"\.catalog\.duckdb\.[0-9a-f]{32}\.tmp(\.wal)?")
_FILES_A_TRANSACTION = 200


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that nobody needs, relative to the lake's root."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What a vacuum would remove (`unknown` only on request), and `waiting`: retired parts within the grace period."""

    retired: tuple[Leftover, ...]
    scratch: tuple[Leftover, ...]
    unknown: tuple[Leftover, ...]
    waiting: tuple[Leftover, ...]


def find_leftovers(catalog: Catalog, *, grace: timedelta, now: datetime) -> Leftovers:
    """Look for what nobody needs at `now`. Changes nothing."""
    if grace < timedelta(0):
        raise UsageError(f"The grace period must not be negative, got {grace}.")
    before = now - grace
    files = list(_old_files(catalog.lake, before))
    with catalog.reading() as connection:
        retired = swaps.retired(connection)
        known = swaps.known(connection, [found.path for found in files])
    old = [part for part in retired if datetime.fromisoformat(part.retired_at) <= before]
    half = [f for f in files if _HALF_A_PART.fullmatch(Path(f.path).name)]
    return Leftovers(
        retired=tuple(Leftover(part.path, part.bytes) for part in old),
        scratch=(*half, *_stale_catalogs(catalog.lake, before), *_stale_staging(catalog.lake, before)),
        unknown=tuple(f for f in files if f.path not in known and _PART.fullmatch(Path(f.path).name)),
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
    """Remove what `find_leftovers` finds, with `unknown` the unknown parts too. Returns what was found."""
    # The published file is the last to name retired parts; new readers get one without them first.
    publish(catalog)
    found = find_leftovers(catalog, grace=grace, now=now)
    for some in _batches(found.retired):
        with catalog.writing() as connection:
            for part in some:
                catalog.lake.part_path(part.path).unlink(missing_ok=True)
            swaps.forget_retired(connection, [part.path for part in some])
        progress(len(some))
    for scratch in found.scratch:
        _remove(catalog.lake.root / scratch.path)
        progress(1)
    for some in _batches(found.unknown if unknown else ()):
        # Inside the right to write: a writer that slept for longer than the grace period commits before this, and its
        # parts are known, or after it, and finds them gone.
        with catalog.writing() as connection:
            known = swaps.known(connection, [part.path for part in some])
            for part in some:
                if part.path not in known:
                    catalog.lake.part_path(part.path).unlink(missing_ok=True)
        progress(len(some))
    return found


def _old_files(lake: Lake, before: datetime) -> Iterator[Leftover]:
    """Yield the files in the tables' folders that were last written before then."""
    for table in TABLES:
        for folder in sorted((lake.data / table).glob("encoding=*")):
            with os.scandir(folder) as entries:
                for entry in entries:
                    found = _if_old(entry.path, lake, before) if entry.is_file(follow_symlinks=False) else None
                    if found:
                        yield found


def _stale_catalogs(lake: Lake, before: datetime) -> Iterator[Leftover]:
    for name in sorted(os.listdir(lake.root)):
        if _HALF_A_CATALOG.fullmatch(name) and (found := _if_old(lake.root / name, lake, before)):
            yield found


def _stale_staging(lake: Lake, before: datetime) -> Iterator[Leftover]:
    """Yield the folders of runs in which nothing happened since. Every commit changes its run's."""
    for folder in sorted(lake.staging.iterdir()) if lake.staging.is_dir() else ():
        if not folder.is_dir() or folder.is_symlink():
            continue
        stats = [path.stat() for path in (folder, *folder.iterdir())]
        if max(s.st_mtime for s in stats) < before.timestamp():
            yield Leftover(folder.relative_to(lake.root).as_posix(), sum(s.st_size for s in stats[1:]))


def _if_old(path: str | Path, lake: Lake, before: datetime) -> Leftover | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if found.st_mtime >= before.timestamp():
        return None
    return Leftover(Path(path).relative_to(lake.root).as_posix(), found.st_size)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _batches(found: Sequence[Leftover] | Iterable[Leftover]) -> Iterator[list[Leftover]]:
    rest = iter(found)
    while some := list(islice(rest, _FILES_A_TRANSACTION)):
        yield some
