"""The flows that a standing server runs over configured corpora: embed what arrived, reconcile what events missed.

Both bring lakes up to date with their sources as `embed_corpus` does; here is only which corpora, and what becomes of
the runs that wait for the same. One corpus that fails does not keep the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import import_module
from typing import cast

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled
from prefect.types import DateTime

from flows.corpora import Corpus, chosen
from flows.embed import AS_A_FLOW, EmbedRequest, carry_out, job
from flows.report import RunReport
from storage.errors import PolysemeError


@flow(name="embed", **AS_A_FLOW)
def embed_corpora(corpora: list[str] | None = None) -> None:
    """Bring the lakes of configured corpora up to date, of all of them for None.

    Runs of the same deployment that wait to do the same are cancelled: what they were to find, this one finds.
    Raises PolysemeError where a corpus could not be done, once the others are.
    """
    # Imported while the server is asked: PyTorch takes seconds.
    threading.Thread(target=import_module, args=("torch",), daemon=True).start()
    wanted = chosen(corpora)
    cancel_covered_runs()
    _, failures = _bring_up_to_date(wanted)
    _raise(failures)


@flow(name="reconcile", **AS_A_FLOW)
def reconcile(corpora: list[str] | None = None) -> None:
    """Scan configured corpora against their lakes and close every gap. Raises as `embed_corpora` does.

    The table it leaves says what no event had brought in.
    """
    reports, failures = _bring_up_to_date(chosen(corpora))
    table = [
        {
            "corpus": name,
            "documents": report.tally.documents,
            "unchanged": report.tally.unchanged,
            "missed new": report.tally.new,
            "missed changed": report.tally.changed,
            "missed gone": report.tally.deleted,
            "refused": report.tally.rejected,
        }
        for name, report in reports.items()
    ]
    create_table_artifact(table, key="reconcile-summary", description="What no event had brought in")
    _raise(failures)


def cancel_covered_runs() -> int:
    """Cancel the runs that wait with this run's own deployment and parameters; return how many.

    They were due before now, so whatever they were to pick up lies before the scan that begins now.
    """
    if deployment.id is None:
        return 0
    due = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=cast("DateTime", datetime.now(UTC))),
    )
    here = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    covered = 0
    with get_client(sync_client=True) as client:
        for waiting in client.read_flow_runs(flow_run_filter=due, deployment_filter=here):
            if str(waiting.id) == flow_run.id or waiting.parameters != flow_run.parameters:
                continue
            try:
                client.set_flow_run_state(waiting.id, Cancelled(message=f"Covered by run {flow_run.name}."))
            except ObjectNotFound:
                continue
            covered += 1
    if covered:
        get_run_logger().info("%d waiting runs are covered by this one", covered)
    return covered


def _bring_up_to_date(corpora: Iterable[Corpus]) -> tuple[dict[str, RunReport], list[str]]:
    """Return the reports of those that could be done, by corpus, and why the others could not."""
    reports, failures = dict[str, RunReport](), list[str]()
    for corpus in corpora:
        try:
            corpus.resolved()
            reports[corpus.name] = carry_out(job(_request(corpus)))
        except PolysemeError as error:
            get_run_logger().error("corpus %s: %s", corpus.name, error)
            failures.append(f"{corpus.name}: {error}")
    return reports, failures


def _request(corpus: Corpus) -> EmbedRequest:
    return EmbedRequest(
        sources=corpus.sources, lake=corpus.lake, engine=corpus.engine, outputs=corpus.outputs, reading=corpus.reading,
        delete=corpus.delete,
    )  # fmt: skip


def _raise(failures: list[str]) -> None:
    if failures:
        raise PolysemeError("; ".join(failures))
