"""Backup: a lake copied whole to another place while others write to it, and a lake brought back from there.

A backup is a folder or prefix with every live part and, written last, a catalog of its own: a lake that can be opened.
Parts never change, so a second backup to the same place copies only what is new.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows
from polyseme.storage.database.copying import replace_rows
from polyseme.storage.database.pointer import POINTER_FILE, point_to
from polyseme.storage.database.schema import metadata
from polyseme.storage.database.transactions import PATIENCE_SECONDS, open_engine, reading, writing
from polyseme.storage.errors import LakeError, MissingLakeError, PolysemeError, UsageError
from polyseme.storage.files.protocol import Url
from polyseme.storage.lake import Lake
from polyseme.storage.parts import sha256_of
from polyseme.storage.records import Part
from polyseme.storage.sql.publish import publish

MARK = "backup.json"
"""The file that says of which lake a folder is a backup, and when it was made."""
_CATALOG = "catalog.sqlite"
_TRIES = 3
_PIECE = 1 << 20

Progress = Callable[[int], None]
"""Called with the bytes of each part that is dealt with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a backup has or a restored lake got: `copied` parts of `parts`, the rest was there."""

    catalog_version: int
    parts: int
    bytes: int
    copied: int
    copied_bytes: int

    @property
    def in_words(self) -> str:
        """The figures as a sentence."""
        return (
            f"{self.parts:,} parts, {self.bytes / 1e6:,.1f} MB; copied now: {self.copied:,}, "
            f"{self.copied_bytes / 1e6:,.1f} MB."
        )


def backup(catalog: Catalog, target: Lake, *, progress: Progress = lambda size: None) -> Copied:
    """Bring a backup up to date with the lake, as it was at one moment. Writers and readers go on.

    Raises UsageError if `target` is in use for something else, and LakeError for a part that is damaged or that a
    vacuum removes faster than it is copied. The backup that was there stays whole until the new one is.
    """
    _check_target(catalog, target)
    _mark(target, catalog, None)  # first of all, so that one which is interrupted goes on
    for trial in range(_TRIES):
        with _copy_of(catalog) as (file, parts, version):
            try:
                copied = _copy_parts(catalog.lake, target, parts, _sizes(target), progress)
            except FileNotFoundError as error:
                if trial == _TRIES - 1:
                    raise LakeError(
                        f"Parts of {catalog.lake.root} vanish while they are copied ({error}). The last backup in "
                        f"{target.root} is as it was. Let vacuum keep replaced parts for longer (--grace-hours)."
                    ) from error
                continue
            with target.files.new(_CATALOG) as made:
                shutil.copyfile(file, made)
        _mark(target, catalog, version)
        target.files.remove([path for path in _sizes(target) if path not in {part.path for part in parts}])
        return _report(version, parts, copied)
    raise AssertionError("unreachable")


def restore(source: Lake, lake: Lake, *, replace: bool = False, progress: Progress = lambda size: None) -> Copied:
    """Make a lake what a backup has, and publish it. `replace` allows that for a lake that has documents.

    Raises LakeError if `source` is not a backup or damaged, or of another lake, and UsageError for a lake that has
    documents without `replace`. Runs that are under way fail, and are to be repeated.
    """
    with tempfile.TemporaryDirectory(prefix="polyseme-") as folder:
        try:
            with source.files.fetched(_CATALOG) as found:
                shutil.copyfile(found, Path(folder) / _CATALOG)
        except FileNotFoundError as error:
            raise MissingLakeError(f"There is no backup in {source.root}: it has no {_CATALOG}.") from error
        with _opened(source, folder) as kept:
            _check_restored(kept, source, lake, replace=replace)
            with kept.reading() as connection:
                parts, version = part_rows.live_parts(connection), meta.catalog_version(connection)
            lake.create()
            try:
                copied = _copy_parts(source, lake, parts, _intact(lake, parts), progress)
            except FileNotFoundError as error:
                raise LakeError(
                    f"The backup in {source.root} is not complete, and {lake.root} shows what it did before. {error}. "
                    "Use another backup, or copy this one again."
                ) from error
            with Catalog.create_or_open(lake) as catalog:
                with kept.reading() as rows, catalog.writing() as connection:
                    replace_rows(rows, connection)
                    lake_id, url = meta.lake_id(connection), connection.engine.url
                point_to(lake, lake_id, url)
                publish(catalog, anew=True)
    return _report(version, parts, copied)


def size(source: Lake) -> int:
    """Return the bytes of the parts of a backup, for progress; 0 if there is none."""
    return sum(_sizes(source).values())


@contextmanager
def _opened(source: Lake, folder: str) -> Iterator[Catalog]:
    """Open a copy of a backup's catalog. Raises LakeError unless everything in it can have been written by Polyseme."""
    try:
        with Catalog.open(Lake(folder)) as catalog:
            catalog.snapshot()
    except LakeError as error:
        raise LakeError(f"The backup in {source.root} cannot be used, and nothing was changed. {error}") from error
    with Catalog.open(Lake(folder)) as catalog:
        yield catalog


@contextmanager
def _copy_of(catalog: Catalog) -> Iterator[tuple[Path, list[Part], int]]:
    """Yield a copy of the catalog as a SQLite file, with the live parts and the version that it has."""
    with tempfile.TemporaryDirectory(prefix="polyseme-") as folder:
        file = Path(folder) / _CATALOG
        engine = open_engine(URL.create("sqlite", database=str(file)), patience=PATIENCE_SECONDS)
        try:
            with catalog.reading() as rows, writing(engine, patience=PATIENCE_SECONDS) as connection:
                metadata.create_all(connection)
                replace_rows(rows, connection)
                version = meta.catalog_version(rows)
            with reading(engine) as connection:
                parts = part_rows.live_parts(connection)
        finally:
            engine.dispose()
        yield file, parts, version


def _copy_parts(
    source: Lake, target: Lake, parts: Sequence[Part], there: Mapping[str, int], progress: Progress
) -> list[Part]:
    """Copy the parts that `there`, sizes by path, does not have; return them. Raises LakeError for a damaged one."""
    copied = []
    for part in parts:
        if there.get(part.path) != part.bytes:
            with source.files.fetched(part.path) as found, target.files.new(part.path, read_only=True) as made:
                if _copy_hashing(found, made) != part.sha256:
                    raise LakeError(
                        f"{part.path} in {source.root} is not what was written, so nothing was taken over. Run "
                        "`polyseme verify --repair` on it, or use another backup."
                    )
            copied.append(part)
        progress(part.bytes)
    return copied


def _copy_hashing(found: Path, made: Path) -> str:
    """Copy a file and return the SHA-256 of what was read. Raises PolysemeError if there is no room."""
    sha256 = hashlib.sha256()
    try:
        with found.open("rb") as read, made.open("xb") as write:
            while piece := read.read(_PIECE):
                sha256.update(piece)
                write.write(piece)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PolysemeError(f"Cannot copy {found.name} to {made.parent}: {error}. Make room and run again.") from error
    return sha256.hexdigest()


def _sizes(lake: Lake) -> dict[str, int]:
    return {found.path: found.bytes for found in lake.files.listed("data")}


def _intact(lake: Lake, parts: Sequence[Part]) -> dict[str, int]:
    """Return the sizes of those parts that the lake has, byte for byte."""
    sizes = _sizes(lake)
    intact = {}
    for part in parts:
        if sizes.get(part.path) == part.bytes:
            with lake.files.fetched(part.path) as found:
                if sha256_of(found) == part.sha256:
                    intact[part.path] = part.bytes
    return intact


def _check_target(catalog: Catalog, target: Lake) -> None:
    root, place = target.root, catalog.lake.root
    if (
        isinstance(root, Path)
        and isinstance(place, Path)
        and (root.is_relative_to(place) or place.is_relative_to(root))
    ):
        raise UsageError(f"A backup of {place} cannot be in {root}: one would contain the other. Name another folder.")
    try:
        with target.files.fetched(MARK) as mark:
            found = json.loads(mark.read_text("utf-8"))
            of, lake = found.get("lake_id"), found.get("lake")
    except FileNotFoundError:
        of = None
        used = (isinstance(root, Path) and root.is_dir() and any(root.iterdir())) or any(target.files.listed(""))
    except (ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{root}/{MARK} cannot be read ({error}). Name an empty folder.") from error
    else:
        used = of != catalog.lake_id
        if not used and isinstance(lake, str) and _is_beside(lake, place):
            raise UsageError(
                f"{root} has the backup of the lake in {lake}, of which {place} is a copy: each has changes that the "
                "other lacks. Name a folder for this one's own backups, or remove the other lake."
            )
    if used:
        what = "is not empty and not a backup" if of is None else "has a backup of another lake"
        raise UsageError(f"{root} {what}, and a backup replaces what it finds. Name an empty or a new folder.")


def _is_beside(lake: str, place: Path | Url) -> bool:
    """Return whether there still is a lake at another place. One that was moved has left nothing there."""
    other = Path(lake)
    try:
        there = any((other / name).exists() for name in (_CATALOG, POINTER_FILE))
        return other.is_absolute() and there and other.resolve() != place
    except (OSError, ValueError, RuntimeError):
        return False


def _check_restored(kept: Catalog, source: Lake, lake: Lake, *, replace: bool) -> None:
    try:
        with Catalog.open(lake) as catalog:
            has, lake_id = bool(catalog.encodings()), catalog.lake_id
    except MissingLakeError:
        return
    if has and lake_id != kept.lake_id:
        raise LakeError(
            f"{source.root} is a backup of another lake than the one at {lake.root}. Name the lake's own backup, or a "
            "new folder with --lake."
        )
    if has and not replace:
        raise UsageError(
            f"There is a lake at {lake.root}. --replace makes it what {source.root} has: what was committed since is "
            "lost. Or name a new folder with --lake, and compare the two."
        )


def _mark(target: Lake, catalog: Catalog, version: int | None) -> None:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    with target.files.new(MARK) as made:
        mark = {
            "lake_id": catalog.lake_id, "lake": str(catalog.lake.root), "catalog_version": version, "made_at": made_at,
        }  # fmt: skip
        made.write_text(json.dumps(mark, indent=1) + "\n", "utf-8")


def _report(version: int, parts: Sequence[Part], copied: Sequence[Part]) -> Copied:
    return Copied(
        catalog_version=version, parts=len(parts), bytes=sum(p.bytes for p in parts), copied=len(copied),
        copied_bytes=sum(p.bytes for p in copied),
    )  # fmt: skip
