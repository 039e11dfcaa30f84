"""Dead runs: those that did not record their end, because their process was killed or its machine stopped.

A run is dead if its process is gone from this machine. Where that cannot be known, on another machine or in another
container, it is dead once its lease is over. A run that was taken for dead and is not goes on: nothing refuses it, and
its next sign of life makes it `running` again. Every function works inside a transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from sqlalchemy import Connection, func, select, update

from polyseme.storage import checks
from polyseme.storage.database import meta, run_process
from polyseme.storage.database.dialects import clock
from polyseme.storage.database.runs import DIED, RUNNING
from polyseme.storage.database.schema import deleted_documents, rejects, runs

LEASE = timedelta(minutes=10)
"""How long a run is taken for alive after its last sign of life, of which there is one a minute."""
ABANDONED = timedelta(days=1)
"""The same for a run whose process is not recorded: the Polyseme that began it gave no sign but its commits."""
_CLOCK_SET_BACK = timedelta(days=1)
"""A sign of life this far in the future was given before the clock was set back, and not since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRun:
    """A run and what its row becomes: `state`, `finished_at` (its last sign of life), `error` and what it had done."""

    run_id: str
    changes: Mapping[str, str | int]


def find(connection: Connection) -> list[DeadRun]:
    """Return the runs that are recorded as running and are dead. Raises LakeError for a damaged catalog."""
    r = runs.c
    # A sign is missing if an earlier Polyseme went on with a catalog that was migrated meanwhile.
    seen = func.coalesce(r.seen_at, r.started_at).label("seen_at")
    query = select(r.run_id, r.ordinal, r.started_at, seen, r.host, r.process).where(r.state == RUNNING)
    found = connection.execute(query.order_by(r.ordinal)).all()
    if not found:
        return []
    origin, dead = meta.origin(connection), list[DeadRun]()
    at = datetime.fromisoformat(connection.scalars(select(clock(connection))).one())
    for run in found:
        seen_at = _time(origin, run.seen_at, "seen_at")
        error = _why_dead(origin, run.host, run.process, seen_at, at)
        if error is not None:
            # The two are by clocks that may differ, and SQLite's has no microseconds.
            ended = max(seen_at, _time(origin, run.started_at, "started_at")).isoformat(timespec="microseconds")
            changes: dict[str, str | int] = {"state": DIED, "finished_at": ended, "error": error}
            changes |= _tally(connection, run.run_id, run.ordinal)
            dead.append(DeadRun(run_id=run.run_id, changes=changes))
    return dead


def mark(connection: Connection) -> None:
    """Record the dead runs as died."""
    dead = find(connection)
    for run in dead:
        connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(**run.changes))
    if dead:
        meta.raise_catalog_version(connection)


def shown(table: pa.Table, dead: Sequence[DeadRun]) -> pa.Table:
    """Return the table of runs as it is once the dead ones are recorded."""
    changes = {run.run_id: run.changes for run in dead}
    if not changes:
        return table
    ids = table["run_id"].to_pylist()
    for name in next(iter(changes.values())):
        values = [
            changes[run_id][name] if run_id in changes else value
            for run_id, value in zip(ids, table[name].to_pylist(), strict=True)
        ]
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return table


def _why_dead(origin: checks.Origin, host: object, process: object, seen_at: datetime, at: datetime) -> str | None:
    """Return what shows that a run is dead; None for one that may be alive."""
    silence, last = at - seen_at, f"{seen_at:%Y-%m-%d %H:%M:%S} UTC"
    if process is None:
        if silence <= ABANDONED:
            return None
        return f"nothing was committed since {last}, and the Polyseme that began this run did not record its process"
    found = run_process.parse(origin, process)
    name = f"process {found.pid} on {origin.text(host, 'runs.host', checks.LINE, 'the name of a machine')}"
    if (there := run_process.exists(found)) is False:
        return f"{name} ended without finishing this run; last seen {last}"
    if there or -_CLOCK_SET_BACK <= silence <= LEASE:
        return None
    return f"{name} gave no sign of life since {last}, and should give one every minute"


def _tally(connection: Connection, run_id: str, ordinal: int) -> dict[str, int]:
    """Return what is still recorded of the documents that a run refused and deleted: what it skipped is not known."""
    x = deleted_documents.c
    refused = select(func.count()).where(rejects.c.run_id == run_id)
    deleted = select(func.count(x.doc_id.distinct())).where(x.deleted_by == ordinal)
    return {"rejected": connection.scalar(refused) or 0, "deleted": connection.scalar(deleted) or 0}


def _time(origin: checks.Origin, value: object, column: str) -> datetime:
    return datetime.fromisoformat(origin.time(value, f"runs.{column}"))
