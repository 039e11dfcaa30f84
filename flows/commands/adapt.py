"""`polyseme adapt`: continued pretraining of a BERT on a corpus (domain adaptation)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.model import DeviceName
from polyseme.flows.commands.options.reading import FieldOptions, Limit, Sources, refuse_options
from polyseme.flows.commands.options.running import ReportOptions
from polyseme.flows.commands.options.training import (
    TRAINING,
    CardOptions,
    NetworkOptions,
    ObjectiveOptions,
    ScratchOptions,
    TrainingOptions,
)
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show
from polyseme.flows.settings import prepare_prefect
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.flows.adapt import AdaptReport

Exit = int


def adapt(
    *sources: Sources,
    out: Path,
    model: Annotated[str, Parameter(group=TRAINING)] = "polyseme-mini",
    device: Annotated[DeviceName, Parameter(group=TRAINING)] = "auto",
    precision: Annotated[Literal["auto", "fp32", "bf16"], Parameter(group=TRAINING)] = "auto",
    training: TrainingOptions = TrainingOptions(),
    objective: ObjectiveOptions = ObjectiveOptions(),
    network: NetworkOptions = NetworkOptions(),
    new: ScratchOptions = ScratchOptions(),
    reading: FieldOptions = FieldOptions(),
    limit: Limit = None,
    card: CardOptions = CardOptions(),
    report: ReportOptions = ReportOptions(),
) -> Exit:
    """Continue the pretraining of a BERT on your corpus, with Masked Language Modeling and Next Sentence Prediction.

    Starts from any encoder; heads that it lacks are trained from random weights. The result is a folder for --model,
    with a model card: the figures of polyseme evaluate beside those of the start model. Stopped or killed, the same
    command goes on from the last checkpoint. A finished run goes on with more --minutes or --steps; without, only its
    card is written anew.

    Example: polyseme adapt notes/ --out notes-model --minutes 30

    Parameters
    ----------
    sources
        Files, folders, globs or - for standard input: one document a file or record, with paragraphs.
    out
        Folder of the new model, e.g. notes-model. Checkpoints are in OUT.training, which may be removed afterwards.
    model
        Checkpoint to start from: a folder, a hub id or polyseme-mini.
    precision
        auto is fp32 on CPUs and bf16 on CUDA GPUs. bf16 is faster on CPUs with AVX-512 BF16 or AMX, slower on others.
    """
    refuse_options(sources, "adapt")
    from polyseme.tasks.adaptation.checks import check
    from polyseme.tasks.adaptation.request import Adaptation

    adaptation = Adaptation(
        sources=list(sources), out=str(out), model=model, training=training.config(), objective=objective.config(),
        device=device, precision=precision, held_out=card.held_out, limit=limit,
        evaluation_pairs=card.evaluation_pairs, license=card.license, data_note=card.data_note, shape=new.shape(),
        reading=reading.read_options(), teacher=network.teacher, blend=network.blend, add_layers=network.add_layers,
        order_head=network.order_head,
    )  # fmt: skip
    check(adaptation)  # a mistake is told before PyTorch or Prefect is imported
    prepare_prefect(verbose=report.verbose)
    from polyseme.tasks.adaptation.workspace import open_workspace

    with open_workspace(adaptation):  # and one about a run that is to go on before Prefect starts
        pass
    from polyseme.flows.adapt import adapt_model
    from polyseme.flows.display.progress_bar import shown

    with shown("training", at_first="preparing the text"):
        done = adapt_model(adaptation)
    write_json(done.to_dict()) if report.json else _print(done)
    return 0


def _print(report: AdaptReport) -> None:
    if report.comparison is not None:
        from polyseme.flows.commands.evaluate import side_by_side

        write_table(side_by_side(report.comparison.both), "table")
    for warning in report.warnings:
        show(f"Warning: {warning}.")
    first, last = report.first, report.last
    show(
        f"{many(report.steps, 'steps')}, {many(report.trained_tokens, 'tokens')} in "
        f"{report.seconds / 60:,.1f} minutes, from {many(report.documents, 'documents')}; "
        f"evaluated on {report.held_out_documents:,} others:\n"
        f"MLM top-1 {first['mlm_top1']:.1%} -> {last['mlm_top1']:.1%} (loss {first['mlm_loss']:.2f} -> "
        f"{last['mlm_loss']:.2f}), NSP accuracy {first['nsp_accuracy']:.1%} -> {last['nsp_accuracy']:.1%} "
        f"(loss {first['nsp_loss']:.3f} -> {last['nsp_loss']:.3f}).\n"
        f"Model {report.model}, card {report.model}/README.md. Evaluate it on other text: polyseme evaluate "
        f"{report.model} polyseme-mini"
    )
