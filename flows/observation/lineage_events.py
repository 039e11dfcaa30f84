"""OpenLineage events of one run: what it read and wrote, by which encoding, with which counts.

Events are accumulative: the first has what is known when the run begins, the last the rest. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import attr
from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)

from polyseme.flows.observation.configuration import Lineage
from polyseme.flows.observation.datasets import TEXT, columns, derived_columns, documents_name, source_name, table_name
from polyseme.flows.observation.facts import RunBegun, RunEnded, installed_version
from polyseme.storage.records import ShardResult

PRODUCER = f"urn:polyseme:{installed_version()}"
SCHEMA_URL = "urn:polyseme:openlineage:run-facet:1"
"""Identifies docs/schemas/openlineage-run-facet.json: the URL of nobody's server."""
FACET = "polyseme_run"
PREFECT = "prefect"
"""The namespace of Prefect's flow runs."""
EVENT_TYPES = {"completed": "COMPLETE", "held-back": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}


@attr.define
class PolysemeRunFacet(RunFacet):  # type: ignore[misc]
    """Our own facet of a run: see docs/schemas/openlineage-run-facet.json."""

    runId: str
    lake: str
    lakeId: str
    encoding: dict[str, Any]
    state: str | None = attr.field(default=None)
    counts: dict[str, Any] | None = attr.field(default=None)
    documents: dict[str, int] | None = attr.field(default=None)
    rejects: dict[str, int] | None = attr.field(default=None)
    seconds: dict[str, float] | None = attr.field(default=None)

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA_URL


def lineage_run_id(run: RunBegun) -> UUID:
    """Return the id of a run as OpenLineage takes it: it follows from the lake and the run's id in it."""
    return uuid5(NAMESPACE_URL, f"urn:polyseme:{run.lake_id}:{run.run_id}")


@attr.define
class Written:
    """What a run has committed to one table so far."""

    rows: int = 0
    bytes: int = 0
    files: int = 0


def add(written: dict[str, Written], result: ShardResult) -> None:
    """Add the parts of a shard to what was written by table."""
    for part in result.parts:
        table = written.setdefault(part.table, Written())
        table.rows, table.bytes, table.files = table.rows + part.rows, table.bytes + part.bytes, table.files + 1


def begun(run: RunBegun, settings: Lineage) -> event_v2.RunEvent:
    """Return the event of a run that begins."""
    return _event("START", run.at, run, settings, _run_facets(run), outputs=_outputs(run, {}))


def ended(run: RunBegun, end: RunEnded, written: Mapping[str, Written], settings: Lineage) -> event_v2.RunEvent:
    """Return the event of a run that ended: COMPLETE, FAIL or ABORT."""
    facets = _run_facets(run, end)
    if end.error and EVENT_TYPES[end.state] != "COMPLETE":
        facets["errorMessage"] = error_facet(end.error)
    if end.flow_run_id:
        facets["parent"] = parent_facet(end.flow_run_id, end.flow or run.kind)
    return _event(EVENT_TYPES[end.state], end.at, run, settings, facets, outputs=_outputs(run, written))


def error_facet(message: str) -> RunFacet:
    """Return why a run failed."""
    return error_message_run.ErrorMessageRunFacet(message=message, programmingLanguage="python", producer=PRODUCER)


def parent_facet(flow_run_id: str, flow: str) -> RunFacet:
    """Return the flow run of Prefect that a run is part of."""
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=flow_run_id), job=parent_run.Job(namespace=PREFECT, name=flow), producer=PRODUCER
    )


def engine_facet() -> RunFacet:
    """Return that it is Polyseme that runs, in its version."""
    return processing_engine_run.ProcessingEngineRunFacet(
        version=installed_version(), name="Polyseme", producer=PRODUCER
    )


def job(kind: str, lake: str, settings: Lineage) -> event_v2.Job:
    """Return the job of a kind over a lake, which a run is one of."""
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="POLYSEME", jobType=kind.upper(), producer=PRODUCER
        )
    }
    name = lake.rstrip("/").rpartition("/")[2]
    return event_v2.Job(namespace=settings.namespace, name=f"{kind}.{name}", facets=facets)


def schema_facet(table: str, width: int) -> DatasetFacet:
    """Return the columns of a table."""
    fields = [schema_dataset.SchemaDatasetFacetFields(name=name, type=type_) for name, type_ in columns(table, width)]
    return schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)


def statistics_facet(rows: int, size: int, files: int) -> OutputDatasetFacet:
    """Return what was written to a table."""
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=rows, size=size, fileCount=files, producer=PRODUCER
    )


def _event(
    kind: str, at: datetime, run: RunBegun, settings: Lineage, facets: dict[str, RunFacet],
    *, outputs: list[event_v2.OutputDataset],
) -> event_v2.RunEvent:  # fmt: skip
    found = job(run.kind, run.lake, settings)
    if settings.job:
        found.name = settings.job
    return event_v2.RunEvent(
        eventType=event_v2.RunState[kind],
        eventTime=at.isoformat(),
        run=event_v2.Run(runId=str(lineage_run_id(run)), facets=facets),
        job=found,
        inputs=_inputs(run),
        outputs=outputs,
        producer=PRODUCER,
    )


def _run_facets(run: RunBegun, end: RunEnded | None = None) -> dict[str, RunFacet]:
    encoding = {"name": run.encoding, "id": run.spec.encoding_id, **asdict(run.spec)}
    make: Any = PolysemeRunFacet  # its base class has a keyword more than a type checker sees
    facet = make(runId=run.run_id, lake=run.lake, lakeId=run.lake_id, encoding=encoding, producer=PRODUCER)
    if end is not None:
        counts = asdict(end.counts)
        facet.state, facet.seconds = end.state, {**counts.pop("seconds"), "wall": end.seconds}
        facet.counts = counts | {"shards": end.shards}
        outcomes = asdict(end.tally)
        del outcomes["chars_to_encode"]
        facet.documents = {"read": outcomes.pop("documents"), **outcomes, "heldBack": end.held_back}
        facet.rejects = dict(end.refused)
    return {FACET: facet, "processing_engine": engine_facet()}


def _inputs(run: RunBegun) -> list[event_v2.InputDataset]:
    if run.kind == "backfill" and not run.sources:
        return [event_v2.InputDataset(*documents_name(run.lake))]  # of whichever encodings have the texts
    names = filter(None, map(source_name, run.sources))
    return [event_v2.InputDataset(namespace=namespace, name=name) for namespace, name in dict.fromkeys(names)]


def _documents(run: RunBegun) -> tuple[str, str]:
    return table_name(run.lake, "documents", run.spec.encoding_id)


def _outputs(run: RunBegun, written: Mapping[str, Written]) -> list[event_v2.OutputDataset]:
    found = []
    for table in run.tables:
        namespace, name = table_name(run.lake, table, run.spec.encoding_id)
        facets: dict[str, DatasetFacet] = {"schema": schema_facet(table, run.spec.width)}
        if derived := derived_columns(table):
            facets["columnLineage"] = _column_lineage(run, [n for n, _ in columns(table, 1) if n in derived])
        statistics: dict[str, OutputDatasetFacet] = {}
        if done := written.get(table):
            statistics["outputStatistics"] = statistics_facet(done.rows, done.bytes, done.files)
        found.append(event_v2.OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets=statistics))
    return found


def _column_lineage(run: RunBegun, derived: list[str]) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """Return that columns are computed from the text of `documents`, as the lake stores it."""
    namespace, name = _documents(run)
    how = column_lineage_dataset.Transformation(type="DIRECT", subtype="TRANSFORMATION")
    text = column_lineage_dataset.InputField(namespace=namespace, name=name, field=TEXT, transformations=[how])
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={column: column_lineage_dataset.Fields(inputFields=[text]) for column in derived}, producer=PRODUCER
    )
