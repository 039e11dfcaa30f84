"""Known sources: whether a lake has documents of a source that is not there any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from polyseme.storage.errors import MissingLakeError
from polyseme.storage.lake import Lake
from polyseme.tasks.reading.source import Source


def known_to(lake: Lake, *, dry_run: bool = False) -> Callable[[Source], bool]:
    """Return a function that looks whether a lake, which need not exist, has documents that a source covers.

    A lake of an older format is brought to today's, but not for a `dry_run`.
    """

    def known(source: Source) -> bool:
        if isinstance(lake.root, Path) and lake.catalog is None and not lake.root.exists():
            return False
        # Only now: most commands whose source is missing are mistyped, and are told at once.
        from polyseme.storage.catalog import Catalog

        try:
            with Catalog.opened(lake, dry_run=dry_run) as catalog:
                pages = (
                    page
                    for encoding in catalog.encodings()
                    for page in catalog.documents_under(encoding.encoding_id, source.prefix)
                )
                return any(source.covers(uri) for page in pages for _, uri in page)
        except MissingLakeError:
            return False

    return known
