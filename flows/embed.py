"""embed_corpus: scan -> plan -> shards -> commit -> publish, as one Prefect flow.

The scan runs in a thread of its own and stages shards on disk; it may have begun before the flow, which then takes it
over. A sliding window of shards is in flight, so memory does not grow with the corpus. Only references travel between
tasks. The catalog decides what is done.
"""

from __future__ import annotations

from collections import deque
from typing import Any, cast
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque

from polyseme.flows.events import emit_run
from polyseme.flows.runs.endings import with_state
from polyseme.flows.runs.job import EmbedRequest, Job, embed_job
from polyseme.flows.runs.lemma_check import require_lemmas
from polyseme.flows.runs.lineage import publish_as_asset
from polyseme.flows.runs.progress import describe
from polyseme.flows.runs.rounding import measure_rounding
from polyseme.flows.runs.run import Run, handed_over_job, taken_over
from polyseme.flows.runs.run_report import RunReport, markdown
from polyseme.flows.runs.runners import SHARDS_FOR_A_GPU, started
from polyseme.flows.runs.shard_tasks import commit_shard, encode_shard
from polyseme.storage.errors import ModelError, PolysemeError
from polyseme.storage.records import Counts, Shard, ShardResult
from polyseme.storage.staging import remove_staging
from polyseme.storage.wording import many
from polyseme.tasks.engine import Cancelled
from polyseme.tasks.shards.deletion_guard import explain

__all__ = ["EmbedRequest", "embed_corpus"]

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
    report = carry_out(handed_over_job() or embed_job(request))
    return cast("RunReport", with_state([report], report))


def carry_out(job: Job) -> RunReport:
    """Encode the new and changed documents of a job, inside the flow that calls this, and report.

    Takes over the run that was handed to the flow, else begins one. Raises PolysemeError if shards failed after their
    retries.
    """
    with taken_over(job, _flow_run_id()) as run:
        run.progress.phase = "reading vectors of the lake" if run.progress.may_round else "loading the model"
        measure_rounding(run.catalog, run.engine)
        _encode(run)
        report = run.complete(lambda catalog, report: publish_as_asset(catalog, report, job.places))
        emit_run(report, lake_id=run.catalog.lake_id, known=run.known, refused=run.scan.refused)
    create_markdown_artifact(markdown(report), key="embed-summary", description=f"Run {report.run_id}")
    for held in report.held_back:
        get_run_logger().warning("run %s: %s", report.run_id, explain(held))
    if run.failures:
        raise PolysemeError(
            f"{len(run.failures)} of {many(run.shards, 'shards')} failed after their retries "
            f"(first: {run.failures[0]}). The others are committed; run the same command again to do the rest."
        )
    return report


def _encode(run: Run) -> None:
    """Send every shard through its tasks, a few at a time, in order."""
    artifact = cast("UUID", create_progress_artifact(0.0, key="embed-progress", description="Share of the run done"))
    in_flight: deque[tuple[Shard, PrefectFuture[ShardResult], PrefectFuture[Counts]]] = deque()
    job, may_encode = run.job, False
    config = run.engine.config if job.runner.kind == "threads" else run.engine.portable_config()
    with started(job.runner, gpu=run.engine.device_type == "cuda") as workers:
        try:
            for shard in run.scanning.shards():
                if not (shard.redescribes or may_encode):
                    require_lemmas(run.catalog, run.engine)
                    may_encode = True
                run.shards += 1
                run.observation.submitted(shard)
                encoded = workers.submit(encode_shard, shard=shard, lake=job.lake, config=config)
                # Commits stay in this process, so that a run is one writer of the catalog whatever its runner.
                # Opaque: Prefect would look for futures in every field of every document of the result.
                committed = commit_shard.submit(opaque(encoded), job.lake)  # type: ignore[call-overload]
                in_flight.append((shard, encoded, committed))
                while len(in_flight) >= workers.in_flight:
                    _settle(run, *in_flight.popleft(), artifact)
            while in_flight:
                _settle(run, *in_flight.popleft(), artifact)
        except BaseException:
            # Workers elsewhere stop once their staged file is gone; a runner waits for its own when it ends.
            run.progress.stop()
            remove_staging(job.lake, run.run_id)
            raise


def _settle(
    run: Run, shard: Shard, encoded: PrefectFuture[ShardResult], committed: PrefectFuture[Counts], artifact: UUID
) -> None:
    made = _outcome(encoded)
    outcome = _outcome(committed) if isinstance(made, ShardResult) else made
    if isinstance(outcome, Counts):
        run.observation.committed(cast("ShardResult", made))
        run.progress.shard(outcome, chars=shard.n_chars)
        percent, line = 100 * (run.progress.fraction or 0.0), describe(run.progress)
        update_progress_artifact(artifact, percent, description=line)
        get_run_logger().info("run %s shard %d committed, %.0f %%: %s", shard.run_id, shard.ordinal, percent, line)
        return
    run.observation.failed(shard)
    if isinstance(outcome, ModelError | Cancelled):
        raise outcome
    run.failures.append(f"shard {shard.ordinal}: {type(outcome).__name__}: {outcome}")


def _outcome(future: PrefectFuture[Any]) -> object:
    """Return what a task returned or raised."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:  # a cluster that lost the task raises here, in spite of raise_on_failure
        return error


def _flow_run_id() -> str | None:
    return str(flow_run.id) if flow_run.id else None
