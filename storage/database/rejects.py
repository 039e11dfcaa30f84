"""Rejects: the input that each run refused, kept until a later run has scanned the same place.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from sqlalchemy import Connection, delete, select

from polyseme.storage.database.dialects import chunks, insert_into
from polyseme.storage.database.schema import rejects, runs
from polyseme.storage.records import Reject


def add(connection: Connection, run_id: str, found: Iterable[Reject], *, longest: int | None = None) -> None:
    """Record rejects of a run, uris cut to `longest` characters. A reject that is there already is not added again.

    A uri is ASCII, so that characters are bytes.
    """
    rows = [{"run_id": run_id, **asdict(reject), "uri": reject.uri[:longest]} for reject in found]
    if rows:
        connection.execute(insert_into(connection, rejects).on_conflict_do_nothing(), rows)


def retire(connection: Connection, run_id: str, scanned: Callable[[str], bool]) -> bool:
    """Drop the rejects of earlier runs at uris that this one has `scanned`. Return True if there were any."""
    ordinal = select(runs.c.ordinal).where(runs.c.run_id == run_id).scalar_subquery()
    older = rejects.c.run_id.in_(select(runs.c.run_id).where(runs.c.ordinal < ordinal))
    retired = [uri for uri in connection.scalars(select(rejects.c.uri).where(older).distinct()) if scanned(uri)]
    for some in chunks(retired):
        connection.execute(delete(rejects).where(older, rejects.c.uri.in_(some)))
    return bool(retired)
