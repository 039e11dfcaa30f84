"""adapt: teach a BERT a corpus with MLM and NSP, as a Prefect flow: prepare -> train -> write the model.

What is done lies in `tasks.adaptation`; here is only the order, what is tried again, and what is reported. A retry, and
another run with the same request, goes on from the last checkpoint.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.tasks import exponential_backoff

from flows.loss_curve import loss_curve
from flows.plots import write_picture
from flows.training_progress import reporter
from tasks.adaptation import Adaptation, at_work
from tasks.training_state import Progress, StepLog

_TELL_PREFECT_EVERY = 0.02
"""Share of the budget between two updates of Prefect's progress artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptReport:
    """What a run made. `first` and `last` are its held-out figures before and after training."""

    model: str
    documents: int
    tokens: int
    held_out_documents: int
    steps: int
    trained_tokens: int
    seconds: float
    first: dict[str, float]
    last: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def _worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what may pass: a full disk, a device out of memory. What will fail the same way again is not tried."""
    error = state.result(raise_on_failure=False)
    return any(isinstance(e, OSError | MemoryError | RuntimeError) for e in (error, error.__cause__))


_AT_THE_EDGE: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_condition_fn": _worth_a_retry,
    "persist_result": False,
    "cache_policy": NO_CACHE,
}


@task(name="prepare text", **_AT_THE_EDGE)
def prepare_text(adaptation: Adaptation) -> dict[str, int]:
    """Read and tokenize the sources; returns counts."""
    with at_work(adaptation) as bench:
        return bench.prepare()


@task(name="train", **_AT_THE_EDGE)
def train(adaptation: Adaptation) -> Progress:
    """Train until the budget is spent. The progress artifact shows how far it is."""
    artifact = create_progress_artifact(0.0, key="adapt-progress", description="Share of the training budget spent")
    log = get_run_logger()
    with at_work(adaptation) as bench:
        return bench.train(_Told(adaptation, artifact, log))


@task(name="write model", **_AT_THE_EDGE)
def write_model(adaptation: Adaptation) -> str:
    """Write the trained model and its card; returns its folder."""
    with at_work(adaptation) as bench:
        return str(bench.finish())


@flow(name="adapt", persist_result=False)
def adapt_model(adaptation: Adaptation) -> AdaptReport:
    """Teach a model a corpus. Running it again with the same request goes on where it stopped.

    Raises PolysemeError for what cannot be done as asked.
    """
    counts = prepare_text(adaptation)
    progress = train(adaptation)
    model = write_model(adaptation)
    report = AdaptReport(
        model=model,
        documents=counts["documents"],
        tokens=counts["tokens"],
        held_out_documents=counts["held_out_documents"],
        steps=progress.step,
        trained_tokens=progress.tokens,
        seconds=progress.seconds,
        first=progress.evaluations[0],
        last=progress.evaluations[-1],
    )
    _publish(report, progress)
    return report


class _Told:
    """Passes every step on: to whoever watches in this process, and now and then to Prefect."""

    def __init__(self, adaptation: Adaptation, artifact: Any, log: Any) -> None:
        self._config, self._artifact, self._log = adaptation.training, artifact, log
        self._report = reporter(adaptation.training)
        self._told = 0.0

    def __call__(self, step: StepLog) -> None:
        self._report(step)
        share = self._config.share_done(step.step, step.seconds)
        if share - self._told >= _TELL_PREFECT_EVERY or share >= 1:
            self._told = share
            if isinstance(self._artifact, UUID):
                update_progress_artifact(self._artifact, progress=100 * share)
            self._log.info("step %d: MLM %.3f NSP %.3f rate %.1e", step.step, step.mlm, step.nsp, step.rate)


def _publish(report: AdaptReport, progress: Progress) -> None:
    """The curve and the table, as artifacts and beside the model."""
    picture = loss_curve(progress, title=f"Training of {Path(report.model).name}")
    write_picture(picture, Path(report.model) / "training.svg")
    address = "data:image/svg+xml;base64," + b64encode(picture.encode()).decode()
    create_image_artifact(image_url=address, key="adapt-curve", description="Losses and held-out accuracy by step")
    create_markdown_artifact(markdown(report), key="adapt-summary", description=f"Model {report.model}")


def markdown(report: AdaptReport) -> str:
    """Return the report as Markdown."""
    rows = "\n".join(
        f"| {name} | {report.first[name]:.4f} | {report.last[name]:.4f} |" for name in report.first if name != "step"
    )
    return (
        f"# {report.model}\n\n{report.steps:,} steps, {report.trained_tokens:,} tokens, "
        f"{report.seconds / 60:,.1f} minutes, from {report.documents:,} documents ({report.tokens:,} tokens).\n\n"
        f"| held out: {report.held_out_documents:,} documents | before | after |\n|---|---:|---:|\n{rows}\n"
    )
