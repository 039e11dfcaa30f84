"""embed_corpus: scan -> plan -> shards -> commit -> publish, as one Prefect flow.

The scan runs in a thread of its own and stages shards on disk; a sliding window of them is in flight, so memory does
not grow with the corpus. Only references travel between tasks. The catalog decides what is done.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque

from polyseme.flows.events import emit_run
from polyseme.flows.runs.endings import ended, with_state
from polyseme.flows.runs.heartbeat import heartbeat
from polyseme.flows.runs.lineage import publish_as_asset
from polyseme.flows.runs.progress import Progress, describe
from polyseme.flows.runs.rounding import measure_rounding
from polyseme.flows.runs.run_report import HELD_BACK, RunReport, markdown
from polyseme.flows.runs.runners import SHARDS_FOR_A_GPU, Runner, started
from polyseme.flows.runs.scan_thread import ScanThread
from polyseme.flows.runs.shard_tasks import commit_shard, encode_shard
from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.catalog_url import refuse_password
from polyseme.storage.database.encodings import check_name
from polyseme.storage.errors import ModelError, PolysemeError, UsageError
from polyseme.storage.lake import Lake, refuse_secrets
from polyseme.storage.records import Counts, Document, Outputs, Reject, Shard, ShardResult
from polyseme.storage.sql.publish import publish
from polyseme.storage.staging import remove_staging
from polyseme.tasks.engine import Cancelled, Engine, EngineConfig, shared_engine
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.sources import Source, read_sources, refuse_credentials, resolve
from polyseme.tasks.shards.deletion_guard import DeletionLimit, by_source, explain
from polyseme.tasks.shards.known_sources import known_to
from polyseme.tasks.shards.scan import Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """What to embed and how. Plain values, so that a deployment can carry it as parameters.

    `catalog` is the database of the lake's catalog, if the lake does not know it yet: without a password, since Prefect
    shows parameters. `delete` hides documents that the sources no longer yield, of each source no more than
    `delete_limit`, a share such as `35%` or a number; `limit` stops after so many documents and never deletes. `name`
    is the name of a new encoding, `stdin_name` that of standard input.
    """

    sources: list[str]
    lake: str = "lake"
    catalog: str | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)
    outputs: Outputs = field(default_factory=Outputs)
    reading: ReadOptions = field(default_factory=ReadOptions)
    limit: int | None = None
    delete: bool = True
    delete_limit: str | int | None = None
    stdin_name: str | None = None
    name: str | None = None
    runner: Runner = field(default_factory=Runner)

    def __post_init__(self) -> None:
        check_name(self.name) if self.name else None
        refuse_credentials(self.sources)
        refuse_secrets(self.lake)
        if not self.sources:
            raise UsageError("Nothing to embed: name at least one file, folder, glob or - for standard input.")
        refuse_password(self.catalog)
        DeletionLimit.parse(self.delete_limit)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")


FLOW_OPTIONS: dict[str, Any] = {
    "persist_result": False,
    "validate_parameters": True,
    "task_runner": ThreadPoolTaskRunner(max_workers=2 * SHARDS_FOR_A_GPU),
}


@flow(name="embed", **FLOW_OPTIONS)
def embed_corpus(request: EmbedRequest) -> RunReport:
    """Bring a lake up to date with its sources. Returns what was done; running it again changes nothing.

    Raises PolysemeError if shards failed after their retries; what was committed before stays. The flow run's state is
    `HeldBack`, of the type Completed, if deletions were held back.
    """
    report = carry_out(job(request))
    return cast("RunReport", with_state([report], report))


def job(request: EmbedRequest) -> Job:
    """Resolve a request into a job. Raises UsageError for a source that cannot be read."""
    lake = lake_at(request.lake, request.catalog)
    sources = resolve(request.sources, lake=lake, known=known_to(lake), stdin_name=request.stdin_name)
    delete_limit = DeletionLimit.parse(request.delete_limit)

    def items() -> Iterator[Document | Reject]:
        return read_sources(sources, request.reading, stdin=sys.stdin.buffer)

    def settle(scan: Scan) -> None:
        if request.limit is None:
            scan.retire_rejects(sources)
            if request.delete:
                scan.delete_gone(sources, delete_limit)

    return Job(
        lake=lake,
        engine=request.engine,
        outputs=request.outputs,
        sources=request.sources,
        places=request.sources,
        items=items,
        scanned=sources,
        limit=request.limit,
        settle=settle,
        name=request.name,
        runner=request.runner,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run over some selection: where its documents come from, and what to do once they are committed.

    `sources` is what the view `runs` shows, `places` the files and folders that are read, `scanned` the same resolved;
    None for documents of the lake itself.
    """

    lake: Lake
    engine: EngineConfig
    outputs: Outputs
    sources: list[str]
    places: list[str]
    items: Callable[[], Iterator[Document | Reject]]
    scanned: Sequence[Source] | None = None
    limit: int | None = None
    settle: Callable[[Scan], None] = lambda scan: None
    name: str | None = None
    runner: Runner = field(default_factory=Runner)


def carry_out(job: Job) -> RunReport:
    """Encode the new and changed documents of a job, inside the flow that calls this, and report.

    Raises PolysemeError if shards failed after their retries.
    """
    run_id = uuid4().hex[:12]
    lake, engine = job.lake, shared_engine(job.engine)
    with Catalog.create_or_open(lake) as catalog, heartbeat(catalog, run_id):
        known = catalog.encodings()
        name = catalog.register_encoding(engine.spec, name=job.name)
        measure_rounding(catalog, engine)
        version = catalog.begin_run(run_id, engine.spec.encoding_id, job.sources, _flow_run_id())
        scan = Scan(catalog, lake, run_id, version, engine.spec.encoding_id, job.outputs, job.scanned)
        run = _Run(job, engine, name, ScanThread(scan, job.items, limit=job.limit, progress=Progress.begin(run_id)))
        try:
            run.embed()
            job.settle(scan)
        except BaseException as error:
            run.progress.stop()
            run.finish("cancelled" if _is_cancellation(error) else "failed", str(error) or type(error).__name__)
            raise
        finally:
            run.scanning.wait()
            scan.close()
            remove_staging(lake, run_id)
            run.progress.end()
        report = run.finish(*ended(run.failures, scan.held_back))
        emit_run(report, lake_id=catalog.lake_id, known=known, refused=scan.refused)
    create_markdown_artifact(markdown(report), key="embed-summary", description=f"Run {run_id}")
    for held in report.held_back:
        get_run_logger().warning("run %s: %s", run_id, explain(held))
    if run.failures:
        raise PolysemeError(
            f"{len(run.failures)} of {run.shards} shards failed after their retries (first: {run.failures[0]}). "
            "The others are committed; run the same command again to do the rest."
        )
    return report


@dataclass
class _Run:
    """The moving state of one flow run."""

    job: Job
    engine: Engine
    encoding: str
    scanning: ScanThread
    shards: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def scan(self) -> Scan:
        return self.scanning.scan

    @property
    def progress(self) -> Progress:
        return self.scanning.progress

    def embed(self) -> None:
        """Send every shard through its tasks, a few at a time, in order."""
        artifact = cast(
            "UUID", create_progress_artifact(0.0, key="embed-progress", description="Share of the run done")
        )
        in_flight: deque[tuple[Shard, PrefectFuture[ShardResult], PrefectFuture[Counts]]] = deque()
        config = self.job.engine if self.job.runner.kind == "threads" else self.engine.portable_config()
        with started(self.job.runner, gpu=self.engine.device_type == "cuda") as workers:
            try:
                for shard in self.scanning.shards():
                    self.shards += 1
                    encoded = workers.submit(encode_shard, shard=shard, lake=self.job.lake, config=config)
                    # Commits stay in this process, so that a run is one writer of the catalog whatever its runner.
                    # Opaque: Prefect would look for futures in every field of every document of the result.
                    committed = commit_shard.submit(opaque(encoded), self.job.lake)  # type: ignore[call-overload]
                    in_flight.append((shard, encoded, committed))
                    while len(in_flight) >= workers.in_flight:
                        self._settle(*in_flight.popleft(), artifact)
                while in_flight:
                    self._settle(*in_flight.popleft(), artifact)
            except BaseException:
                # Workers elsewhere stop once their staged file is gone; a runner waits for its own when it ends.
                self.progress.stop()
                remove_staging(self.job.lake, self.scan.run_id)
                raise

    def finish(self, state: str, error: str | None) -> RunReport:
        """Record how the run ended, publish what it committed, and report."""
        tally = self.scan.tally
        report = RunReport(
            run_id=self.scan.run_id,
            state=state,
            lake=str(self.job.lake.root),
            encoding_id=self.scan.encoding_id,
            encoding=self.encoding,
            counts=self.progress.counts,
            tally=tally,
            shards=self.shards,
            wall_seconds=self.progress.seconds,
            error=error,
            held_back=tuple(by_source(self.scan.held_back)),
        )
        self.scan.catalog.finish_run(
            self.scan.run_id,
            state,
            self.progress.counts,
            skipped=tally.unchanged,
            deleted=tally.deleted,
            rejected=tally.rejected,
            error=error,
        )
        if state in ("completed", HELD_BACK):
            publish_as_asset(self.scan.catalog, report, self.job.places)
        else:
            publish(self.scan.catalog)
        return report

    def _settle(
        self, shard: Shard, encoded: PrefectFuture[ShardResult], committed: PrefectFuture[Counts], artifact: UUID
    ) -> None:
        made = _outcome(encoded)
        outcome = _outcome(committed) if isinstance(made, ShardResult) else made
        if isinstance(outcome, Counts):
            self.progress.shard(outcome, chars=shard.n_chars)
            percent, line = 100 * (self.progress.fraction or 0.0), describe(self.progress)
            update_progress_artifact(artifact, percent, description=line)
            get_run_logger().info("run %s shard %d committed, %.0f %%: %s", shard.run_id, shard.ordinal, percent, line)
            return
        if isinstance(outcome, ModelError | Cancelled):
            raise outcome
        self.failures.append(f"shard {shard.ordinal}: {type(outcome).__name__}: {outcome}")


def _outcome(future: PrefectFuture[Any]) -> object:
    """Return what a task returned or raised."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:  # a cluster that lost the task raises here, in spite of raise_on_failure
        return error


def _flow_run_id() -> str | None:
    return str(flow_run.id) if flow_run.id else None


def _is_cancellation(error: BaseException) -> bool:
    return isinstance(error, Cancelled) or not isinstance(error, Exception)
