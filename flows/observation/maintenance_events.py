"""OpenLineage events of maintenance: which tables it changed, and what it wrote of them.

A table that is rewritten is input and output; vacuum, which removes files that no table has any more, has neither.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attr
from openlineage.client import event_v2
from openlineage.client.facet_v2 import OutputDatasetFacet, RunFacet

from polyseme.flows.observation.configuration import Lineage
from polyseme.flows.observation.datasets import table_name
from polyseme.flows.observation.facts import ChangedTable, MaintenanceBegun, MaintenanceEnded
from polyseme.flows.observation.lineage_events import (
    EVENT_TYPES,
    PRODUCER,
    engine_facet,
    error_facet,
    job,
    parent_facet,
    schema_facet,
    statistics_facet,
)

SCHEMA_URL = "urn:polyseme:openlineage:maintenance-facet:1"
"""Identifies docs/schemas/openlineage-maintenance-facet.json: the URL of nobody's server."""
FACET = "polyseme_maintenance"


@attr.define
class PolysemeMaintenanceFacet(RunFacet):  # type: ignore[misc]
    """Our own facet of maintenance: see docs/schemas/openlineage-maintenance-facet.json."""

    lake: str
    lakeId: str
    kind: str
    state: str | None = attr.field(default=None)
    counts: dict[str, int] | None = attr.field(default=None)
    seconds: float | None = attr.field(default=None)

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA_URL


def begun(work: MaintenanceBegun, settings: Lineage) -> event_v2.RunEvent:
    """Return the event of maintenance that begins: its tables are not known yet."""
    return _event("START", work.at, work, settings, _facets(work))


def ended(work: MaintenanceBegun, end: MaintenanceEnded, settings: Lineage) -> event_v2.RunEvent:
    """Return the event of maintenance that ended: COMPLETE, FAIL or ABORT."""
    facets = _facets(work)
    facets[FACET].state, facets[FACET].counts, facets[FACET].seconds = end.state, dict(end.counts), end.seconds
    if end.error:
        facets["errorMessage"] = error_facet(end.error)
    event = _event(EVENT_TYPES[end.state], end.at, work, settings, facets)
    for table in end.tables:
        namespace, name = table_name(work.lake, table.table, table.encoding_id)
        schema = {"schema": schema_facet(table.table, table.width)}
        event.inputs.append(event_v2.InputDataset(namespace=namespace, name=name, facets=schema))
        event.outputs.append(
            event_v2.OutputDataset(namespace=namespace, name=name, facets=schema, outputFacets=_written(table))
        )
    return event


def _written(table: ChangedTable) -> dict[str, OutputDatasetFacet]:
    return {"outputStatistics": statistics_facet(table.rows, table.bytes, table.files)} if table.files else {}


def _event(
    kind: str, at: datetime, work: MaintenanceBegun, settings: Lineage, facets: dict[str, Any]
) -> event_v2.RunEvent:
    return event_v2.RunEvent(
        eventType=event_v2.RunState[kind],
        eventTime=at.isoformat(),
        run=event_v2.Run(runId=work.id, facets=facets),
        job=job(work.kind, work.lake, settings),
        inputs=[],
        outputs=[],
        producer=PRODUCER,
    )


def _facets(work: MaintenanceBegun) -> dict[str, Any]:
    make: Any = PolysemeMaintenanceFacet  # its base class has a keyword more than a type checker sees
    facets = {
        FACET: make(lake=work.lake, lakeId=work.lake_id, kind=work.kind, producer=PRODUCER),
        "processing_engine": engine_facet(),
    }
    if work.flow_run_id:
        facets["parent"] = parent_facet(work.flow_run_id, work.flow or work.kind)
    return facets
