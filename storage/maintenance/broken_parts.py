"""Broken parts: what merges at commit found missing or changed, recorded in the catalog until it is mended.

A run reports them and `status` does: what is before such a part is not merged any more, and its rows may be lost. On
this machine a part that is gone is one at once. Reads no part.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows

_log = logging.getLogger(__name__)


def broken_parts(catalog: Catalog, encoding_id: str | None = None) -> tuple[str, ...]:
    """Return the paths of the live parts that are recorded as broken or have no file, of one encoding or of all.

    Files are looked for in a folder only: in an object store that would be a request for each part.
    """
    with catalog.reading() as connection:
        recorded = meta.broken_parts(connection)
        live = part_rows.live_parts(connection, encoding_id=encoding_id)
    root = catalog.lake.root
    return tuple(
        part.path
        for part in live
        if part.path in recorded or (isinstance(root, Path) and not (root / part.path).exists())
    )


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
