"""Runs: when and where each began, over which sources, how it ended and what it did.

Every function works inside a transaction that it is given. A run's ordinal is greater than that of any before, and is
the version of the documents it reads. Does not know which runs are dead: see `dead_runs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, case, delete, func, insert, select, update

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.dialects import clock
from polyseme.storage.database.run_process import host_name, this_process
from polyseme.storage.database.schema import COUNT_COLUMNS, held_back, parts, rejects, runs, shards, skipped_files
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Counts

RUNNING, DIED = "running", "died"
"""States of a run that did not record its end: nobody knows better, or somebody found that it is dead."""


def begin(
    connection: Connection, run_id: str, encoding_id: str, sources: Sequence[str], flow_run_id: str | None, *, at: str
) -> int:
    """Record a run of this process and return its ordinal. Raises PolysemeError if an earlier run has the same id."""
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
            state=RUNNING,
            started_at=at,
            host=host_name(),
            process=this_process().to_json(),
            seen_at=clock(connection),
        )
    )
    return ordinal


def add_committed(connection: Connection, run_id: str, counts: Counts) -> None:
    """Add what a shard holds to the counts of its run, and record that this is alive, unless it has recorded its end.

    A run that is interrupted can record its end before the last of its shards is committed.
    """
    if counts.rounded_documents:
        meta.add_rounded_documents(connection, run_id, counts.rounded_documents)
    r = runs.c
    for state, stored in connection.execute(select(r.state, r.seconds).where(r.run_id == run_id)).all():
        so_far = Counts(seconds=checks.seconds(meta.origin(connection), stored))
        more = {name: r[name] + getattr(counts, name) for name in COUNT_COLUMNS}
        more["seconds"] = json.dumps((so_far + counts).seconds, sort_keys=True)
        if state in (RUNNING, DIED):
            _renew(connection, run_id, state, **more)
        else:
            connection.execute(update(runs).where(r.run_id == run_id).values(more))


def renew(connection: Connection, run_id: str) -> None:
    """Record that a run is alive, and running again if it was taken for dead.

    Raises the catalog's version only for the latter: else everything would be published again once a minute.
    """
    found = select(runs.c.state).where(runs.c.run_id == run_id, runs.c.state.in_((RUNNING, DIED)))
    for state in connection.scalars(found).all():
        _renew(connection, run_id, state)


def _renew(connection: Connection, run_id: str, state: str, **values: object) -> None:
    if state == DIED:
        values |= {"state": RUNNING, "finished_at": None, "error": None}
        meta.raise_catalog_version(connection)
    alive = update(runs).where(runs.c.run_id == run_id)
    connection.execute(alive.values(seen_at=clock(connection), **values))


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

    Where its commits counted more, theirs stay: a run that is interrupted has not heard of all of them. Raises
    PolysemeError for a run that never began.
    """
    given = {name: getattr(counts, name) for name in COUNT_COLUMNS}
    did = {name: case((runs.c[name] > n, runs.c[name]), else_=n) for name, n in given.items()} | dict(tally)
    seconds = json.dumps(counts.seconds, sort_keys=True)
    ended = update(runs).where(runs.c.run_id == run_id)
    ended = ended.values(state=state, finished_at=at, seconds=seconds, error=error, **did)
    if not connection.execute(ended).rowcount:
        raise PolysemeError(f"Run {run_id!r} never began in this lake. Call begin_run first.")


def forget_shards(connection: Connection, *, before: str) -> None:
    """Drop shards that were committed by then, in ISO 8601, by a run that has ended, and that no part names.

    A retry of a commit would find its shard there; none comes after the run and a grace period.
    """
    going = select(runs.c.run_id).where(runs.c.state == RUNNING)
    named = select(parts.c.shard_key).where(parts.c.shard_key.is_not(None))
    s = shards.c
    old = (s.committed_at <= before, s.run_id.not_in(going), s.shard_key.not_in(named))
    connection.execute(delete(shards).where(*old))


def forget_old(connection: Connection, *, keep: int) -> None:
    """Drop the records of runs but the newest `keep`, those under way, and those that other records name."""
    last = connection.scalar(select(func.max(runs.c.ordinal))) or 0
    old = [runs.c.ordinal <= last - keep, runs.c.state != RUNNING]
    for table in (shards, rejects, skipped_files, held_back):
        old.append(runs.c.run_id.not_in(select(table.c.run_id)))
    connection.execute(delete(runs).where(*old))
    left = set(connection.scalars(select(runs.c.run_id)))
    meta.forget_rounded_documents(connection, meta.rounded_documents(connection).keys() - left)


def active(connection: Connection, *, since: str) -> set[str]:
    """Return the ids of the runs that began, committed something, or gave a sign of life since then, in ISO 8601."""
    begun = select(runs.c.run_id).where(runs.c.started_at >= since)
    committed = select(shards.c.run_id).where(shards.c.committed_at >= since)
    seen = select(runs.c.run_id).where(runs.c.state == RUNNING, runs.c.seen_at >= since)
    return {run_id for query in (begun, committed, seen) for run_id in connection.scalars(query.distinct())}


def set_flow_run(connection: Connection, run_id: str, flow_run_id: str) -> None:
    """Record the flow run that took over a run which had begun without one."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(flow_run_id=flow_run_id))
