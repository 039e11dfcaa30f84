"""The model card of a trained model: data, training, hardware, settings, figures before and after, limits. Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from polyseme.tasks.evaluation.comparison import Comparison
from polyseme.tasks.evaluation.evaluation import FIGURES, shown
from polyseme.tasks.markdown import literal
from polyseme.tasks.training.checkpoints import TrainingProgress

_TRAINING_FIGURES = {
    "mlm_top1": "MLM top-1",
    "mlm_top5": "MLM top-5",
    "mlm_loss": "MLM loss, nats a token",
    "nsp_accuracy": "NSP accuracy, negatives as in training",
    "nsp_loss": "NSP loss, nats a pair",
}
"""The figures of evaluations during training, with their labels."""
_TO_FILL_IN = "to be filled in before the model is passed on"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """The facts of a model card. `start` is None for a model from scratch; `created` are heads the start model lacked.

    `license` and `data_note` are given by the user. `hardware` is the name of the processor or GPU. Of `layers`,
    counted from 1, vectors are taken from `vector_layer`.
    """

    name: str
    start: str | None
    created: tuple[str, ...]
    parameters: int
    layers: int
    vector_layer: int
    documents: int
    text_tokens: int
    held_out_documents: int
    settings: dict[str, Any]
    precision: str
    hardware: str
    progress: TrainingProgress
    license: str | None
    data_note: str | None


def card(record: TrainingRecord, comparison: Comparison | None) -> str:
    """Return the card with the front matter that model hubs read; without a comparison, with figures from training.

    The same for the same run, so that it can be written again.
    """
    parts = [
        _front(record),
        f"# {literal(record.name)}",
        f"A `BertForPreTraining` of {record.parameters / 1e6:,.1f} M parameters, float16, with heads for Masked "
        "Language Modeling and Next Sentence Prediction (label 0 means *is next*). Made by `polyseme adapt`."
        + _vectors(record),
        _data(record),
        f"**Licence.** {record.license or _TO_FILL_IN.capitalize()}.",
        _training(record),
        _measured(comparison) if comparison else _measured_during_training(record),
        _limits(comparison),
    ]
    return "\n\n".join(parts) + "\n"


def _front(record: TrainingRecord) -> str:
    lines = ["---"]
    if record.license:
        lines.append(f"license: {re.sub(r'[^a-z0-9.]+', '-', record.license.lower()).strip('-')}")
    if record.start:
        lines.append(f"base_model: {record.start}")
    lines += ["tags: [bert, masked-language-modeling, next-sentence-prediction]", "---"]
    return "\n".join(lines)


def _data(record: TrainingRecord) -> str:
    heads = f" The {' and '.join(record.created)} head was new." if record.created and record.start else ""
    origin = f"Started from {literal(record.start)}.{heads}" if record.start else "Started from random weights."
    return (
        f"**Made from.** {origin} Text: {record.documents:,} documents, {record.text_tokens:,} tokens; "
        f"{record.held_out_documents:,} more were held out. Source of the text: {record.data_note or _TO_FILL_IN}."
    )


def _vectors(record: TrainingRecord) -> str:
    layer = record.vector_layer
    if layer == record.layers:
        return ""
    return (
        f" Vectors are taken from layer {layer} of {record.layers} (`vector_layer` in `config.json`); the layers above "
        f"serve the heads. In transformers they are `hidden_states[{layer}]`, not `last_hidden_state`."
    )


def _training(record: TrainingRecord) -> str:
    progress, settings = record.progress, record.settings
    masked = "whole words" if settings["whole_words"] else "tokens"
    distilled = f", distillation weight {settings['distill']:g}" if settings["distill"] else ""
    return (
        f"**Training.** {progress.step:,} steps of {settings['pairs']} pairs of 1 to {settings['max_sentences']} "
        f"sentences a side, up to {settings['max_tokens']} tokens: {progress.tokens:,} tokens. "
        f"{settings['mask_share']:.0%} of the {masked} masked (80/10/10), half of the pairs true. AdamW, peak learning "
        f"rate {settings['learning_rate']:g}, linear warm-up and decay{distilled}; seed {settings['seed']}; "
        f"{record.precision} on {record.hardware}; {progress.seconds / 60:,.1f} minutes of training. All settings: "
        + ", ".join(f"`{name}` {_plain(value)}" for name, value in sorted(settings.items()))
        + "."
    )


def _plain(value: Any) -> str:
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _measured(comparison: Comparison) -> str:
    counts, both, share = comparison.model.counts, comparison.both, comparison.config.mask_share
    names = [*([f"start: {literal(comparison.start.model)}"] if comparison.start else []), "this model"]
    rows = [(label, *(shown(name, one.figures[name]) or "–" for one in both)) for name, (label, _) in FIGURES.items()]
    return (
        f"**Measured** on {counts['documents']:,} held-out documents, as `polyseme evaluate` measures: "
        f"{counts['graded_pairs']} graded pairs of sentences; {counts['sentences']:,} sentences, each to find those of "
        f"its document; {counts['pairs']:,} first sentences, each with its true second, one of another document, one "
        f"of the same document and the pair reversed; {counts['masked_tokens']:,} masked tokens ({share:.0%}); "
        f"{counts['sense_uses']} uses of {len(comparison.model.senses)} words in known senses. The data are the same "
        f"for every model; two standard errors of an NSP accuracy are {1 / (2 * counts['pairs']) ** 0.5:.3f} at most. "
        "All figures are in `evaluation.json`.\n\n"
        + _table(("", *names), rows)
        + "".join(f"\n\n**Warning:** {warning}." for warning in comparison.warnings)
    )


def _measured_during_training(record: TrainingRecord) -> str:
    first, last = record.progress.evaluations[0], record.progress.evaluations[-1]
    rows = [(label, f"{first[name]:.3f}", f"{last[name]:.3f}") for name, label in _TRAINING_FIGURES.items()]
    return (
        f"**Measured** on the held-out documents, {record.settings['mask_share']:.0%} of the tokens masked:\n\n"
        + _table(("", "start", "this model"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _limits(comparison: Comparison | None) -> str:
    more = (
        "The graded pairs and word senses are of everyday English, whatever the model was trained on. "
        if comparison
        else "`polyseme evaluate` also measures search, pairs of one document, pair order and word senses. "
    )
    return (
        "**Limits.** The held-out documents come from the same sources as the text: on other text the model does "
        "worse. Random negatives come from other documents, where topic alone decides many: a high probability does "
        f"not prove good order. {more}A model repeats what its text says and how it says it, bias included."
    )
