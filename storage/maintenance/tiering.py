"""Tiering: commits merge small parts as they go, so that a thousand small runs leave a few parts of each table.

Parts are in tiers by their number of rows, each tier twice the one below. When two parts of a tier have come together,
they and the smaller ones after them become one part of a higher tier: a row is written again about once a tier, and a
table has about one part of each. Parts that are neighbours in time are merged, so that the shards of a merged part stay
together. A part that is missing or changed stays and is recorded; those after it are merged. What is merged, and how a
merge is replaced, is compaction's. Nothing here fails a commit.

After 43 runs (`python -m benchmarks.many_commits --runs 43`) a lake took 1.2 times as long to open as a compacted one,
and 7.0 times the bytes of new rows had been written; with four parts a tier it was 1.6 times and 5.2 times.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from datetime import datetime

import duckdb
import pyarrow as pa
from sqlalchemy.exc import DBAPIError

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.errors import PolysemeError
from polyseme.storage.maintenance.broken_parts import broken_among, record_broken_parts
from polyseme.storage.maintenance.compaction import (
    MIB,
    MOST_PARTS,
    CompactionPolicy,
    Merge,
    compact_table,
    drop_corrections,
    merge_group,
)
from polyseme.storage.maintenance.forgetting import forget
from polyseme.storage.records import Part
from polyseme.storage.schemas import TABLES

TIER = 2
"""How many parts make one of the next tier, and how many times as many rows it has."""
_LARGEST_BYTES = 32 * MIB
"""A part of this size stays as it is: what makes a lake slow is many small files. The words of a shard of a large run
are larger from the start, and writing them again with every merge would cost a run on a GPU its speed, and disk space
for as long as the parts before stay."""
_FEWEST_CORRECTIONS = 64
_DYING = CompactionPolicy(small=1e-12, min_dead=0.1)
"""Rewrites parts with a tenth of dead rows, and no others however small."""

_MORE = 17 / 16

_busy = threading.Lock()
_counted_at: dict[tuple[str, str], tuple[int, int]] = {}
"""How many dead versions and tokens an encoding of a lake had when it was found to have few, by the ids of both."""
_log = logging.getLogger(__name__)


def tidy(catalog: Catalog, encoding_id: str, *, now: datetime) -> list[Merge]:
    """Merge small parts of an encoding after a commit, and drop what nothing needs any more. Return the merges.

    Does nothing if another thread of this process is at it. Whatever goes wrong is logged, and a later commit tries
    again: the commit is made, and a merge that is not replaced leaves only a file that vacuum removes.
    """
    if not _busy.acquire(blocking=False):
        return []
    try:
        encoding = next((e for e in catalog.encodings() if e.encoding_id == encoding_id), None)
        merges = [] if encoding is None else _merge_tiers(catalog, encoding)
        if encoding is not None and _has_many_dead(catalog, encoding):
            for table in TABLES:
                merges += compact_table(catalog, encoding, table, _DYING)
            drop_corrections(catalog, encoding)
        forget(catalog, now=now)
        return merges
    except (PolysemeError, OSError, DBAPIError, duckdb.Error, pa.ArrowException) as error:
        _log.warning("small parts of %s were not merged: %s", catalog.lake.root, error)
        return []
    finally:
        _busy.release()


def _merge_tiers(catalog: Catalog, encoding: Encoding) -> list[Merge]:
    merges: list[Merge] = []
    for table, newest in _newest(catalog, encoding).items():
        parts, broken = newest, _broken(catalog, newest)
        while group := next_group(parts, broken):
            found: list[str] = []
            merges.append(merge_group(catalog, encoding, group, broken=found))
            if found:
                record_broken_parts(catalog, found)
                broken.update(found)
            elif merges[-1].outcome != "merged":
                break
            parts = _newest(catalog, encoding, table).get(table, [])
    return merges


def next_group(parts: Sequence[Part], broken: Collection[str] = ()) -> list[Part]:
    """Return the newest of `parts`, oldest first, that are to become one; none if every tier has few enough.

    Parts of `_LARGEST_BYTES` or more stay as they are, and so do the `broken`, by path; those after them are merged. Of
    thousands of small parts, which a lake has that was never tidied, as many as a process may open are.
    """
    newest: list[Part] = []
    for part in reversed(parts):
        if part.bytes >= _LARGEST_BYTES or part.path in broken:
            break
        newest.append(part)
    for tier in sorted({_tier(part) for part in newest}):
        group: list[Part] = []
        for part in newest:
            if _tier(part) > tier or len(group) == MOST_PARTS:
                break
            group.append(part)
        if sum(_tier(part) == tier for part in group) >= TIER:
            return group[::-1]
    return []


def _tier(part: Part) -> int:
    rows, tier = part.rows, 0
    while rows >= TIER:
        rows, tier = rows // TIER, tier + 1
    return tier


def _newest(catalog: Catalog, encoding: Encoding, table: str | None = None) -> dict[str, list[Part]]:
    """Return the parts that could be merged, by table, oldest first: a lake may have ten thousand that could not."""
    with catalog.reading() as connection:
        return part_rows.newest_parts(connection, encoding.encoding_id, below=_LARGEST_BYTES, table=table)


def _broken(catalog: Catalog, parts: Sequence[Part]) -> set[str]:
    with catalog.reading() as connection:
        recorded = meta.broken_parts(connection)
    return set(broken_among(catalog, recorded, [part.path for part in parts]))


def _has_many_dead(catalog: Catalog, encoding: Encoding) -> bool:
    """Return whether a quarter of what the lake has is dead: of its documents, or of their tokens.

    What it has is counted again only once a sixteenth more is dead than at the last count of this process: of a million
    documents a count takes a second, and commits come every few.
    """
    with catalog.reading() as connection:
        dead, tokens = part_rows.dead_versions(connection, encoding.encoding_id)
        if dead < _FEWEST_CORRECTIONS:
            return False
        key = (meta.lake_id(connection), encoding.encoding_id)
    dead_then, tokens_then = _counted_at.get(key, (0, 0))
    if dead_then <= dead < _MORE * dead_then and tokens_then <= tokens <= _MORE * tokens_then:
        return False
    totals = catalog.totals(encoding.encoding_id)
    many = 4 * dead >= totals["documents"] or 3 * tokens >= totals["tokens"]
    _counted_at[key] = (0, 0) if many else (dead, tokens)
    return many
