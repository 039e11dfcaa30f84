"""Runs: when each began, over which sources, how it ended and what it did.

Every function works inside a transaction that it is given. A run's ordinal is greater than that of any before, and is
the version of the documents it reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select, update

from polyseme.storage.database import meta
from polyseme.storage.database.schema import COUNT_COLUMNS, runs, shards
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Counts


def begin(
    connection: Connection, run_id: str, encoding_id: str, sources: Sequence[str], flow_run_id: str | None, *, at: str
) -> int:
    """Record a run and return its ordinal. Raises PolysemeError if an earlier run has the same id."""
    if connection.scalar(select(runs.c.ordinal).where(runs.c.run_id == run_id)) is not None:
        raise PolysemeError(f"Run {run_id!r} has already begun in this lake. Begin it under a new id.")
    ordinal = meta.next_ordinal(connection)
    connection.execute(
        insert(runs).values(
            run_id=run_id,
            ordinal=ordinal,
            flow_run_id=flow_run_id,
            encoding_id=encoding_id,
            sources=json.dumps(list(sources)),
            state="running",
            started_at=at,
        )
    )
    return ordinal


def finish(
    connection: Connection,
    run_id: str,
    state: str,
    counts: Counts,
    tally: Mapping[str, int],
    *,
    error: str | None,
    at: str,
) -> None:
    """Record how a run ended and what it did: its counts, and how many were `skipped`, `deleted` and `rejected`.

    Raises PolysemeError for a run that never began.
    """
    did = {name: getattr(counts, name) for name in COUNT_COLUMNS} | dict(tally)
    seconds = json.dumps(counts.seconds, sort_keys=True)
    ended = update(runs).where(runs.c.run_id == run_id)
    ended = ended.values(state=state, finished_at=at, seconds=seconds, error=error, **did)
    if not connection.execute(ended).rowcount:
        raise PolysemeError(f"Run {run_id!r} never began in this lake. Call begin_run first.")


def active(connection: Connection, *, since: str) -> set[str]:
    """Return the ids of the runs that began or committed something since then, in ISO 8601."""
    begun = select(runs.c.run_id).where(runs.c.started_at >= since)
    committed = select(shards.c.run_id).where(shards.c.committed_at >= since)
    return {run_id for query in (begun, committed) for run_id in connection.scalars(query.distinct())}
