"""Mutants of reuse: the code without one of the safeguards that keep a stale vector or a deleted part from being used.

Each is set in the writer's process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np


def keys_ignore_text() -> None:
    """A stale vector: keys that know how many tokens a sentence has and not which."""
    from polyseme.tasks.encode import input_keys

    keys = input_keys.vector_keys
    input_keys.vector_keys = lambda chunk, windows: keys(replace(chunk, ids=np.zeros_like(chunk.ids)), windows)


def superseded_rows() -> None:
    """A stale vector: where a document's rows are is remembered, and a later version of it does not change that."""
    from sqlalchemy import Connection

    from polyseme.storage.database import locating
    from polyseme.storage.records import Part

    holding = locating.parts_holding
    versions: dict[tuple[str, str], int] = {}
    parts: dict[str, dict[str, Part]] = {}

    def remembered(connection: Connection, encoding_id: str, table: str, doc_ids: Any) -> locating.Located:
        found = holding(connection, encoding_id, table, doc_ids)
        if table == "documents":
            return found
        known = parts.setdefault(table, {})
        known.update((part.path, part) for part in found.parts)
        for doc_id, version in found.versions.items():
            versions.setdefault((table, doc_id), version)
        return locating.Located(tuple(known.values()), {d: versions[table, d] for d in found.versions})

    locating.parts_holding = remembered


def deleted_part_read() -> None:
    """A deleted part: vectors of a file that a vacuum has removed are taken for zeros."""
    from polyseme.storage.stored.rows import StoredTable

    vectors = StoredTable.vectors

    def unconcerned(self: StoredTable, rows: Any, width: int) -> Any:
        try:
            return vectors(self, rows, width)
        except OSError:
            return np.zeros((len(rows), width), np.float16)

    StoredTable.vectors = unconcerned  # type: ignore[method-assign]


def deleted_part_committed() -> None:
    """A deleted part: a commit does not look whether a vacuum has removed what it adds."""
    from polyseme.storage.catalog import Catalog

    Catalog._require_files = lambda self, parts: None  # type: ignore[method-assign]


def retired_part_merged() -> None:
    """A deleted part: a merge does not look whether what it replaces has been replaced already."""
    from tests.torture.crowd_mutants import merge_what_was_merged

    merge_what_was_merged()


REUSE_MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "keys-ignore-text": keys_ignore_text,
    "superseded-rows": superseded_rows,
    "deleted-part-read": deleted_part_read,
    "deleted-part-committed": deleted_part_committed,
    "retired-part-merged": retired_part_merged,
}
