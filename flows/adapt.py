"""adapt: continued pretraining of a BERT on a corpus, as a Prefect flow: prepare -> train -> write and evaluate.

The work is done in `polyseme.tasks.adaptation.workspace`; here is only the order, the retries and the reports. A retry,
and another run with the same request, goes on from the last checkpoint.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, dataclass
from datetime import datetime
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
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from polyseme.flows.events import ModelAdapted, emit, event_id
from polyseme.flows.pictures.loss_curve import loss_curve
from polyseme.flows.pictures.picture import can_draw_figures, write_picture
from polyseme.flows.runs.retries import TASK_OPTIONS
from polyseme.flows.runs.training_progress import evaluation_reporter, step_reporter
from polyseme.flows.server.corpora import Corpus, makers
from polyseme.flows.server.every_corpus import do_for_each, raise_failures
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.adaptation.workspace import open_workspace
from polyseme.tasks.evaluation.comparison import Comparison
from polyseme.tasks.evaluation.evaluation import FIGURES, shown
from polyseme.tasks.markdown import literal
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig

OUT = "models/{corpus}-%Y-%m-%d"
"""Folders of the models of configured corpora."""
_HALF_AN_HOUR = TrainingConfig(minutes=30)
_UPDATE_EVERY = 0.02
"""Share of the budget between two updates of Prefect's progress artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptReport:
    """The result of a run. `first` and `last` are held-out figures before and after training.

    `fingerprint` is the model's, `start` the checkpoint it began as. `comparison` is None if the request wanted none.
    `warnings` are the losses against the start model in search and word senses, a sentence each.
    """

    model: str
    fingerprint: str
    start: str | None
    documents: int
    tokens: int
    held_out_documents: int
    steps: int
    trained_tokens: int
    seconds: float
    first: dict[str, float]
    last: dict[str, float]
    comparison: Comparison | None
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@task(name="prepare text", **TASK_OPTIONS)
def prepare_text(adaptation: Adaptation) -> dict[str, int]:
    """Read and tokenize the sources; return counts."""
    with open_workspace(adaptation) as workspace:
        return workspace.prepare()


@task(name="train", **TASK_OPTIONS)
def train(adaptation: Adaptation) -> TrainingProgress:
    """Train until the budget is spent, and show the share that is spent in a progress artifact."""
    artifact = create_progress_artifact(0.0, key="adapt-progress", description="Share of the training budget spent")
    log = get_run_logger()
    with open_workspace(adaptation) as workspace:
        return workspace.train(_StepReports(adaptation, artifact, log))


@task(name="write model", **TASK_OPTIONS)
def write_model(adaptation: Adaptation) -> Comparison | None:
    """Write the trained model and evaluate it for its card; return the evaluation."""
    with open_workspace(adaptation) as workspace:
        workspace.finish(evaluation_reporter())
        return workspace.comparison


@flow(name="adapt", persist_result=False)
def adapt_model(adaptation: Adaptation) -> AdaptReport:
    """Continue the pretraining of a model on a corpus. The same request goes on where an earlier run stopped.

    Raises PolysemeError for a request that cannot be carried out.
    """
    return carry_out(adaptation)


@flow(name="adapt", persist_result=False, validate_parameters=True)
def adapt_corpora(
    corpora: list[str] | None = None,
    *,
    out: str = OUT,
    training: TrainingConfig | None = None,
    objective: ObjectiveConfig | None = None,
    held_out: float = 0.02,
    evaluation_pairs: int | None = None,
    license: str | None = None,
    data_note: str | None = None,
) -> None:
    """Adapt the model of each configured corpus, or of those named, to its corpus; by default for thirty minutes.

    `out` is the folder of each model: `{corpus}` is the corpus's name, and %Y-%m-%d and the like the time for which the
    run was scheduled, so that every scheduled run makes models of its own and a retry goes on with them. Raises
    PolysemeError if a corpus failed, once the others are done.
    """
    named = makers(corpora)
    if len(named) > 1 and "{corpus}" not in out:
        raise UsageError(f"{len(named)} corpora need as many folders: put {{corpus}} into out, which is {out!r}.")

    def adapt(corpus: Corpus) -> None:
        carry_out(
            Adaptation(
                sources=corpus.sources, out=_place(out, corpus.name), training=training or _HALF_AN_HOUR,
                model=corpus.engine.model, objective=objective or ObjectiveConfig(), reading=corpus.reading,
                device=corpus.engine.device, held_out=held_out, evaluation_pairs=evaluation_pairs, license=license,
                data_note=data_note,
            )
        )  # fmt: skip

    raise_failures(do_for_each(named, adapt))


def _place(out: str, corpus: str) -> str:
    scheduled: datetime = flow_run.scheduled_start_time
    return scheduled.strftime(out.replace("{corpus}", corpus))


def carry_out(adaptation: Adaptation) -> AdaptReport:
    """Carry out a request inside the flow run that calls this, and report."""
    counts = prepare_text(adaptation)
    progress = train(adaptation)
    comparison = write_model(adaptation)
    folder = Path(adaptation.out)
    report = AdaptReport(
        model=str(folder),
        fingerprint=Checkpoint(folder.name, folder).sha256,
        start=None if adaptation.shape else adaptation.model,
        documents=counts["documents"],
        tokens=counts["tokens"],
        held_out_documents=counts["held_out_documents"],
        steps=progress.step,
        trained_tokens=progress.tokens,
        seconds=progress.seconds,
        first=progress.evaluations[0],
        last=progress.evaluations[-1],
        comparison=comparison,
        warnings=[] if comparison is None else comparison.warnings,
    )
    for warning in report.warnings:
        get_run_logger().warning("%s", warning)
    _publish(report, progress)
    _emit(report)
    return report


class _StepReports:
    """Reports every step to listeners in this process, and to Prefect after every `_UPDATE_EVERY` of the budget."""

    def __init__(self, adaptation: Adaptation, artifact: Any, log: Any) -> None:
        self._config, self._artifact, self._log = adaptation.training, artifact, log
        self._report = step_reporter(adaptation.training)
        self._reported = 0.0

    def __call__(self, step: StepLog) -> None:
        self._report(step)
        share = self._config.share_done(step.step, step.seconds)
        if share - self._reported >= _UPDATE_EVERY or share >= 1:
            self._reported = share
            if isinstance(self._artifact, UUID):
                update_progress_artifact(self._artifact, progress=100 * share)
            self._log.info("step %d: MLM %.3f NSP %.3f rate %.1e", step.step, step.mlm, step.nsp, step.rate)


def _publish(report: AdaptReport, progress: TrainingProgress) -> None:
    """Write the curve beside the model, and curve and table as artifacts; the curve as an image needs matplotlib."""
    picture, model = loss_curve(progress, title=f"Training of {Path(report.model).name}"), Path(report.model)
    write_picture(picture, model / "training.html")
    if can_draw_figures():
        write_picture(picture, model / "training.svg")
        address = "data:image/svg+xml;base64," + b64encode((model / "training.svg").read_bytes()).decode()
        create_image_artifact(image_url=address, key="adapt-curve", description="Losses and held-out accuracy by step")
    create_markdown_artifact(markdown(report), key="adapt-summary", description=f"Model {literal(report.model)}")


def _emit(report: AdaptReport) -> None:
    """Announce the model. A second run that trains nothing more sends the same event, which counts once."""
    payload = ModelAdapted(
        model=str(Path(report.model).resolve()), fingerprint=report.fingerprint, start=report.start,
        documents=report.documents, held_out_documents=report.held_out_documents, steps=report.steps,
        tokens=report.trained_tokens, before=_figures(report.first), after=_figures(report.last),
    )  # fmt: skip
    emit(payload, event_id=event_id(payload, payload.model))


def _figures(evaluation: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in evaluation.items() if name != "step"}


def markdown(report: AdaptReport) -> str:
    """Return the report as Markdown."""
    before, after = _figures(report.first), _figures(report.last)
    lines = [
        f"# {literal(report.model)}",
        "",
        f"{many(report.steps, 'steps')}, {many(report.trained_tokens, 'tokens')}, {report.seconds / 60:,.1f} minutes, "
        f"from {many(report.documents, 'documents')} ({many(report.tokens, 'tokens')}).",
        "",
        f"| held out: {many(report.held_out_documents, 'documents')} | before | after |",
        "|---|---:|---:|",
        *(f"| {name} | {before[name]:.4f} | {after[name]:.4f} |" for name in before),
    ]
    if (comparison := report.comparison) is not None:
        lines += [
            "",
            f"| as `polyseme evaluate` measures | {' | '.join(literal(found.model) for found in comparison.both)} |",
        ]
        lines += [f"|---|{'---:|' * len(comparison.both)}"]
        lines += [
            f"| {label} | {' | '.join(shown(name, found.figures[name]) or '–' for found in comparison.both)} |"
            for name, (label, _) in FIGURES.items()
        ]
    for warning in report.warnings:
        lines += ["", f"**Warning:** {warning}."]
    return "\n".join(lines) + "\n"
