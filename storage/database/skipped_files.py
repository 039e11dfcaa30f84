"""Skipped files: how many each source had that no run reads, kept until a later run has scanned the same source.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, select

from polyseme.storage.database.schema import runs, skipped_files


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFiles:
    """The files of one extension that a source had and that were skipped for one reason, with one of them.

    `extension` is in lower case with its dot; empty for names without one, and for folders.
    """

    source: str
    extension: str
    reason: str
    files: int
    example: str


def replace(connection: Connection, run_id: str, found: Sequence[SkippedFiles], scanned: Callable[[str], bool]) -> bool:
    """Record what a run skipped, in place of what earlier runs did in the sources that this one has `scanned`.

    What a later run has recorded of a source stays. Return True if anything changed.
    """
    ordinal = select(runs.c.ordinal).where(runs.c.run_id == run_id).scalar_subquery()
    s = skipped_files.c
    older = s.run_id.in_(select(runs.c.run_id).where(runs.c.ordinal < ordinal))
    later = s.run_id.in_(select(runs.c.run_id).where(runs.c.ordinal > ordinal))
    retired = [name for name in connection.scalars(select(s.source).where(older).distinct()) if scanned(name)]
    # One by one: a run may name thousands of files, but few that skip anything.
    for name in retired:
        connection.execute(delete(skipped_files).where(older, s.source == name))
    known = set(connection.scalars(select(s.source).where(later).distinct()))
    rows = [{"run_id": run_id, **asdict(one)} for one in found if one.source not in known]
    if rows:
        connection.execute(delete(skipped_files).where(s.run_id == run_id))
        connection.execute(insert(skipped_files), rows)
    return bool(retired or rows)
