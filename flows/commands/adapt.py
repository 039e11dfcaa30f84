"""`polyseme adapt`: teach a BERT a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.settings import prepare_prefect
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.documents import ReadOptions

if TYPE_CHECKING:
    from polyseme.flows.adapt import AdaptReport

Exit = int


def adapt(
    *sources: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path,
    model: str = "polyseme-mini",
    minutes: float | None = None,
    steps: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    pairs: int = 32,
    learning_rate: float = 1e-4,
    mask_share: float = 0.15,
    whole_words: Annotated[bool, Parameter(negative="")] = False,
    max_tokens: int = 128,
    max_sentences: int = 3,
    distill: float = 0.0,
    dropout: float = 0.0,
    held_out: float = 0.02,
    seed: int = 0,
    scratch: Annotated[bool, Parameter(negative="")] = False,
    vocabulary: int = 8000,
    layers: int = 4,
    hidden: int = 256,
    heads: int = 4,
    checkpoint_minutes: float = 5.0,
    text_field: str = "text",
    id_field: str | None = None,
    limit: int | None = None,
    evaluation_pairs: int | None = None,
    license: str | None = None,
    data_note: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False,
) -> Exit:
    """Teach a BERT your corpus with Masked Language Modeling and Next Sentence Prediction, as BERT itself learned.

    Starts from any encoder; heads that it lacks are made. The result is a folder for --model, with a card that has the
    figures of polyseme evaluate, the start model's beside them. Stopped or killed, the same command goes on from the
    last checkpoint; with more --minutes or --steps a finished run goes on too, and without it writes the card anew.
    Example: polyseme adapt notes/ --out notes-model --minutes 30

    Parameters
    ----------
    sources
        Files, folders, globs or - for standard input: one document a file or record, with paragraphs.
    out
        The folder of the model to make. Checkpoints lie beside it in OUT.training, which can go once it is done.
    model
        Where to start: a checkpoint with BERT's architecture by folder, hub id, or polyseme-mini.
    minutes
        Minutes of training; the learning rate falls to 0 by then. Held-out evaluations come on top.
    steps
        Steps to train. With a number of steps the same seed gives the same losses.
    device
        Where to run; auto takes a CUDA device where there is one.
    precision
        auto is fp32 on CPU and bf16 on CUDA. bf16 is faster on CPUs with AVX-512 BF16 or AMX, slower on others.
    pairs
        Pairs of segments a step, a multiple of 16 (or 8).
    learning_rate
        The peak, after a short warm-up. New heads and --scratch learn faster with 4e-4; a trained model forgets.
    mask_share
        Share of the tokens to predict; BERT's is 0.15.
    whole_words
        Hide words, not pieces of words.
    max_tokens
        Length of a pair, special tokens included.
    max_sentences
        Sentences on each side of a pair: 1 to this many, within one paragraph.
    distill
        Weight of staying close to the start encoder's vectors (1 - cosine): keeps word senses, costs a third more.
    dropout
        BERT's was 0.1; with less text than a few epochs 0 learns faster.
    held_out
        Share of documents kept out of training to measure on; two at least.
    seed
        Of everything that is drawn.
    scratch
        Start from nothing, with a vocabulary learned from the sources, instead of from --model.
    vocabulary
        Pieces of the vocabulary, with --scratch.
    layers
        Layers of the model, with --scratch.
    hidden
        Numbers in a vector, with --scratch.
    heads
        Attention heads, with --scratch.
    checkpoint_minutes
        How much training a kill may cost.
    text_field
        The field or column that holds the text.
    id_field
        The field with the document's id.
    limit
        Read so many documents.
    evaluation_pairs
        How many pairs of sentences of each kind the finished model and its start are asked about for the card: by
        default one for every second of training, 50 at least and 500 at most. 0 asks nothing.
    license
        Under which licence the model may be passed on, such as "CC BY-SA 3.0". Goes into the card.
    data_note
        Where the text is from, in a few words. Goes into the card.
    json
        Write the report as JSON.
    verbose
        Show Prefect's log.
    """
    if mistyped := [source for source in sources if source.startswith("-") and source != "-"]:
        raise UsageError(f"Unknown option {mistyped[0]}. `polyseme adapt --help` lists them.")
    prepare_prefect(verbose=verbose)
    from polyseme.tasks.adaptation.request import Adaptation, Shape
    from polyseme.tasks.adaptation.workspace import open_workspace
    from polyseme.tasks.training.objective import ObjectiveConfig
    from polyseme.tasks.training.trainer import TrainingConfig

    training = TrainingConfig(
        steps=steps, minutes=minutes, pairs=pairs, micro=16 if pairs % 16 == 0 else 8, learning_rate=learning_rate,
        dropout=dropout, distill=distill, checkpoint_seconds=60 * checkpoint_minutes,
    )  # fmt: skip
    objective = ObjectiveConfig(
        max_tokens=max_tokens, max_sentences=max_sentences, mask_share=mask_share, whole_words=whole_words, seed=seed
    )
    adaptation = Adaptation(
        sources=list(sources), out=str(out), model=model, training=training, objective=objective, device=device,
        precision=precision, held_out=held_out, limit=limit, evaluation_pairs=evaluation_pairs, license=license,
        data_note=data_note,
        shape=Shape(vocabulary=vocabulary, layers=layers, hidden=hidden, heads=heads) if scratch else None,
        reading=ReadOptions(text_field=text_field, id_field=id_field),
    )  # fmt: skip
    with open_workspace(adaptation):  # what is wrong with the request is said before Prefect starts
        pass
    from polyseme.flows.adapt import adapt_model
    from polyseme.flows.display.training_progress import shown

    with shown():
        report = adapt_model(adaptation)
    write_json(report.to_dict()) if json else _print(report)
    return 0


def _print(report: AdaptReport) -> None:
    if report.comparison is not None:
        from polyseme.flows.commands.evaluate import side_by_side

        write_table(side_by_side(report.comparison.both), "table")
    first, last = report.first, report.last
    print(  # noqa: T201
        f"{report.steps:,} steps, {report.trained_tokens:,} tokens in {report.seconds / 60:,.1f} minutes, from "
        f"{report.documents:,} documents; measured on {report.held_out_documents:,} others:\n"
        f"MLM top-1 {first['mlm_top1']:.1%} -> {last['mlm_top1']:.1%} (loss {first['mlm_loss']:.2f} -> "
        f"{last['mlm_loss']:.2f}), NSP accuracy {first['nsp_accuracy']:.1%} -> {last['nsp_accuracy']:.1%} "
        f"(loss {first['nsp_loss']:.3f} -> {last['nsp_loss']:.3f}).\n"
        f"Model {report.model}, card {report.model}/README.md. Try it on text of another kind: polyseme evaluate "
        f"{report.model} polyseme-mini"
    )
