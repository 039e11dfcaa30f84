"""Mutants of the crowd: the code without one of the safeguards that processes need against each other."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from polyseme.storage import catalog
from polyseme.storage.database import commits, part_rows, redescribing
from polyseme.storage.maintenance import compaction
from polyseme.storage.records import Part
from polyseme.storage.search import candidates
from polyseme.storage.search.placed_columns import columns_at
from polyseme.storage.sql import sentence_search

CROWD_MUTANTS = ("none", "no-fence", "no-key", "no-check", "forgetful", "no-text", "no-live", "stale-index",
                 "other-text")  # fmt: skip


def mutate(name: str) -> None:
    """Remove one safeguard in this process."""
    if name == "no-fence":
        commits._Current.order = property(lambda self: (0, 0))  # type: ignore[assignment]
    elif name == "no-key":
        commits.is_committed = lambda connection, key: False  # type: ignore[assignment]
    elif name == "no-check":
        catalog.Catalog._require_files = lambda self, parts: None  # type: ignore[method-assign]
    elif name == "forgetful":
        # Drop every correction at once, whatever rows the parts still have.
        compaction._not_in = lambda lake, part, hidden: hidden  # type: ignore[assignment]
    elif name == "no-text":
        # Describe a document anew although another writer has changed its text.
        redescribing.keeps_rows = lambda stored, document: True  # type: ignore[assignment]
    elif name == "stale-index":
        # Search what is in the index, whatever of it is live.
        candidates._live = lambda *of: None
    elif name == "other-text":
        # Show the text of the first row of a part with each of its sentences.
        sentence_search.columns_at = lambda lake, places, names, check: columns_at(
            lake, [place._replace(row=0) for place in places], names, check
        )
    elif name == "no-live":
        merge_what_was_merged()


def merge_what_was_merged() -> None:
    """Replace parts of which another merge has replaced some already: their rows are in two merged parts."""
    are_live, retire = part_rows.are_live, part_rows.retire

    def those_there(connection: Connection, old: Sequence[Part], *, reason: str, at: str) -> None:
        left = [part for part in old if are_live(connection, [part])]
        if left:
            retire(connection, left, reason=reason, at=at)

    part_rows.are_live = lambda connection, found: True
    part_rows.retire = those_there
