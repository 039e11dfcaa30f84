"""The observation of maintenance: compact, vacuum, restore and repair of a lake, as observers are told of them.

The same whether a command or a flow of Prefect does it. Without settings nothing is counted and nothing imported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

from polyseme.flows.observation.configuration import Lineage, Telemetry
from polyseme.flows.observation.facts import (
    ChangedTable,
    MaintenanceBegun,
    MaintenanceEnded,
    MaintenanceKind,
    MaintenanceObserver,
)
from polyseme.flows.observation.observation import Observers, configured
from polyseme.flows.signals.ending import arrived
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError

FlowRun = tuple[str, str]
"""The id of Prefect's flow run and the name of its flow."""


@dataclass(slots=True)
class Changes:
    """What maintenance has done so far. `error` is why it is not complete, though it raised nothing."""

    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    tables: dict[tuple[str, str], ChangedTable] = field(default_factory=dict)

    def changed(self, change: ChangedTable) -> None:
        """Add what was written of a table to what was before."""
        key = change.table, change.encoding_id
        if before := self.tables.get(key):
            change = replace(
                change,
                rows=before.rows + change.rows,
                bytes=before.bytes + change.bytes,
                files=before.files + change.files,
            )
        self.tables[key] = change


@contextmanager
def observed(kind: MaintenanceKind, catalog: Catalog, flow_run: FlowRun | None = None) -> Iterator[Changes]:
    """Tell that maintenance begins, do it in the body, which notes what it changed, and tell how it ended."""
    flow_run_id, flow = flow_run or (None, None)
    work = MaintenanceBegun(
        id=str(uuid4()), kind=kind, at=datetime.now(UTC), lake=str(catalog.lake.root), lake_id=catalog.lake_id,
        flow_run_id=flow_run_id, flow=flow,
    )  # fmt: skip
    began, changes = time.monotonic(), Changes()
    observers = Observers(configured(lambda settings: _observer(work, settings)))

    def end(state: str, error: str | None) -> None:
        seconds = time.monotonic() - began
        ended = MaintenanceEnded(
            state=state,
            at=datetime.now(UTC),
            seconds=seconds,
            tables=tuple(changes.tables.values()),
            counts=dict(changes.counts),
            error=error,
        )
        observers.tell(lambda observer: observer.ended(ended))
        observers.close()

    try:
        yield changes
    except BaseException as error:
        is_cancelled = not isinstance(error, Exception) or arrived() is not None
        end(
            "cancelled" if is_cancelled else "failed",
            str(error) if isinstance(error, PolysemeError) else type(error).__name__,
        )
        raise
    end("failed" if changes.error else "completed", changes.error)


def _observer(work: MaintenanceBegun, settings: Lineage | Telemetry) -> MaintenanceObserver:
    if isinstance(settings, Lineage):
        from polyseme.flows.observation.lineage_observer import MaintenanceLineage

        return MaintenanceLineage(work, settings)
    from polyseme.flows.observation.maintenance_span import MaintenanceSpan

    return MaintenanceSpan(work, settings)
