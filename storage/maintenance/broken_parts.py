"""Broken parts: what merges at commit found missing or changed, recorded in the catalog until it is mended.

A run reports them and `status` does: what is before such a part is not merged any more, and its rows may be lost. On
this machine a part that is gone is one at once. Reads no part.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows

_FEW = 100
_log = logging.getLogger(__name__)


def broken_parts(catalog: Catalog, encoding_id: str | None = None) -> tuple[str, ...]:
    """Return the paths of the live parts that are recorded as broken or have no file, of one encoding or of all.

    Files are looked for in a folder only: in an object store that would be a request for each part.
    """
    with catalog.reading() as connection:
        recorded = meta.broken_parts(connection)
        live = part_rows.live_paths(connection, encoding_id=encoding_id)
    return tuple(broken_among(catalog, recorded, live))


def broken_among(catalog: Catalog, recorded: Collection[str], paths: Sequence[str]) -> list[str]:
    """Return those of some live parts that are `recorded` as broken or have no file, as `broken_parts` does."""
    root = catalog.lake.root
    if not isinstance(root, Path):
        return [path for path in paths if path in recorded]
    folders: dict[str, set[str]] = {}
    for folder, name in (path.rsplit("/", 1) for path in paths):
        folders.setdefault(folder, set()).add(name)
    gone = {f"{folder}/{name}" for folder, names in folders.items() for name in _gone(root / folder, names)}
    return [path for path in paths if path in recorded or path in gone]


def _gone(folder: Path, names: set[str]) -> set[str]:
    """Return the names of which a folder has no file. Many are listed: calls take ten times as long."""
    if len(names) <= _FEW:
        return {name for name in names if not (folder / name).exists()}
    try:
        return names - set(os.listdir(folder))
    except FileNotFoundError:
        return names


def record_broken_parts(catalog: Catalog, paths: Sequence[str]) -> None:
    """Record parts as broken, and say so once in the log."""
    with catalog.writing() as connection:
        meta.record_broken_parts(connection, paths)
    _log.warning("%s in %s is missing or changed: run `polyseme verify`", ", ".join(paths), catalog.lake.root)


def settle_broken_parts(catalog: Catalog, broken: frozenset[str]) -> None:
    """Drop the records of all parts but the `broken`, by path, once every live part was checked."""
    with catalog.reading() as connection:
        mended = meta.broken_parts(connection) - broken
    if mended:
        with catalog.writing() as connection:
            meta.forget_broken_parts(connection, mended)
