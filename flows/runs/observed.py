"""What observers are told about a run: its facts, from the job, the catalog and the scan. See `flows/observation`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import unquote

from polyseme.flows.observation.facts import RunBegun, RunEnded, Source
from polyseme.flows.observation.observation import Observation, observe
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.run_report import RunReport
from polyseme.flows.runs.scan_thread import ScanThread
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import EncodingSpec, Outputs
from polyseme.storage.wording import many
from polyseme.tasks.reading import source as reading

_SHARD_ERROR = re.compile(r"shard \d+: (\w+):")


class Observed(Protocol):
    """A run, as far as its end is told."""

    observation: Observation
    scanning: ScanThread
    failures: list[str]
    flow_run_id: str | None


def begin(job: Job, catalog: Catalog, encoding: str, scanning: ScanThread, *, spec: EncodingSpec) -> Observation:
    """Tell that the run of a job begins, and return what is told the rest."""
    begun = RunBegun(
        run_id=scanning.scan.run_id, kind=job.kind, at=datetime.now(UTC), lake=str(job.lake.root),
        lake_id=catalog.lake_id, encoding=encoding, spec=spec, tables=_tables(job.outputs),
        sources=tuple(map(_source, job.scanned or ())),
    )  # fmt: skip
    return observe(begun, queued=scanning.queued)


@contextmanager
def ending(run: Observed, report: RunReport, *, raised: BaseException | None) -> Iterator[None]:
    """Publish the lake in the body, then tell how the run ended: it failed if the body raises.

    `raised` is what ended the run. Of an error that is not Polyseme's only the type is told: it may quote a document.
    """
    try:
        with run.observation.publishing():
            yield
    except BaseException as error:
        _end(run, replace(report, state="failed"), error)
        raise
    _end(run, report, raised)


def _end(run: Observed, report: RunReport, raised: BaseException | None) -> None:
    if not run.observation.observers:
        return
    if run.scanning.seconds is not None:
        run.observation.scanned(run.scanning.seconds)
    scan = run.scanning.scan
    run.observation.ended(
        RunEnded(
            state=report.state, at=datetime.now(UTC), counts=report.counts, tally=report.tally, shards=report.shards,
            seconds=report.wall_seconds, error=_error(report, run.failures, raised),
            held_back=sum(held.documents for held in scan.held_back), refused=dict(scan.refused),
            flow_run_id=run.flow_run_id, flow=_flow_name() if run.flow_run_id else None,
        )
    )  # fmt: skip


def _flow_name() -> str | None:
    from prefect.runtime import flow_run  # imported already, by the flow that the run is part of

    name: str | None = flow_run.flow_name
    return name


def _error(report: RunReport, failures: Sequence[str], raised: BaseException | None) -> str | None:
    if raised is not None:
        return str(raised) if isinstance(raised, PolysemeError) else type(raised).__name__
    if not failures:
        return None
    types = sorted({found[1] for failure in failures if (found := _SHARD_ERROR.match(failure))})
    return f"{len(failures)} of {many(report.shards, 'shards')} failed after their retries: {', '.join(types)}"


def _tables(outputs: Outputs) -> tuple[str, ...]:
    words = {"sentences": (), "words": ("words",), "tokens": ("words", "tokens")}[outputs.level]
    return ("documents", "sentences", *words, *(("transitions",) if outputs.nsp else ()))


def _source(source: reading.Source) -> Source:
    return Source(kind=source.kind, name=unquote(source.target) if source.kind == "stdin" else source.name)
