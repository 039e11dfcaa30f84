"""The card of a trained model: data, steps, hardware, settings, scores before and after, limits. In Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from polyseme.tasks.evaluation.comparison import Comparison
from polyseme.tasks.evaluation.evaluation import FIGURES, shown
from polyseme.tasks.training.checkpoints import TrainingProgress

_WHILE_TRAINING = {
    "mlm_top1": "MLM top-1",
    "mlm_top5": "MLM top-5",
    "mlm_loss": "MLM loss, nats a token",
    "nsp_accuracy": "NSP accuracy, negatives from other documents",
    "nsp_loss": "NSP loss, nats a pair",
}
_TO_FILL_IN = "to be filled in before the model is passed on"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What a card says. `start` None is a model from scratch; `created` names the heads the start model had not.

    `license` and `data_note` are the user's words. `hardware` names the processor or card.
    """

    name: str
    start: str | None
    created: tuple[str, ...]
    parameters: int
    documents: int
    text_tokens: int
    held_out_documents: int
    settings: dict[str, Any]
    precision: str
    hardware: str
    progress: TrainingProgress
    license: str | None
    data_note: str | None


def card(made: TrainingRecord, comparison: Comparison | None) -> str:
    """Return the card with the front matter that model hubs read; without an appraisal what training itself measured.

    The same for the same run, so that it can be written again.
    """
    parts = [
        _front(made),
        f"# {made.name}",
        f"A `BertForPreTraining` of {made.parameters / 1e6:,.1f} M parameters, float16, with heads for Masked Language "
        "Modeling and Next Sentence Prediction (label 0 means *is next*). Made by `polyseme adapt`.",
        _data(made),
        f"**Licence.** {made.license or _TO_FILL_IN.capitalize()}.",
        _training(made),
        _measured(made, comparison) if comparison else _measured_while_training(made),
        _limits(comparison),
    ]
    return "\n\n".join(parts) + "\n"


def _front(made: TrainingRecord) -> str:
    lines = ["---"]
    if made.license:
        lines.append(f"license: {re.sub(r'[^a-z0-9.]+', '-', made.license.lower()).strip('-')}")
    if made.start:
        lines.append(f"base_model: {made.start}")
    lines += ["tags: [bert, masked-language-modeling, next-sentence-prediction]", "---"]
    return "\n".join(lines)


def _data(made: TrainingRecord) -> str:
    heads = f" The {' and '.join(made.created)} head was new." if made.created and made.start else ""
    origin = f"Started from {made.start}.{heads}" if made.start else "Started from random weights."
    return (
        f"**Made from.** {origin} Text: {made.documents:,} documents, {made.text_tokens:,} tokens; "
        f"{made.held_out_documents:,} more were held out. Source of the text: {made.data_note or _TO_FILL_IN}."
    )


def _training(made: TrainingRecord) -> str:
    progress, settings = made.progress, made.settings
    hidden = "whole words" if settings["whole_words"] else "tokens"
    distilled = f", distillation weight {settings['distill']:g}" if settings["distill"] else ""
    return (
        f"**Training.** {progress.step:,} steps of {settings['pairs']} pairs of 1 to {settings['max_sentences']} "
        f"sentences a side, up to {settings['max_tokens']} tokens: {progress.tokens:,} tokens. "
        f"{settings['mask_share']:.0%} of the {hidden} hidden (80/10/10), half of the pairs true. AdamW, peak learning "
        f"rate {settings['learning_rate']:g}, linear warm-up and decay{distilled}; seed {settings['seed']}; "
        f"{made.precision} on {made.hardware}; {progress.seconds / 60:,.1f} minutes of training. Every setting: "
        + ", ".join(f"`{name}` {_plain(value)}" for name, value in sorted(settings.items()))
        + "."
    )


def _plain(value: Any) -> str:
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _measured(made: TrainingRecord, comparison: Comparison) -> str:
    counts, found, share = comparison.model.counts, comparison.both, comparison.config.mask_share
    names = [*([f"start: {comparison.start.model}"] if comparison.start else []), "this model"]
    rows = [(label, *(shown(name, one.figures[name]) or "–" for one in found)) for name, (label, _) in FIGURES.items()]
    return (
        f"**Measured** on {counts['documents']:,} held-out documents, as `polyseme evaluate` measures: "
        f"{counts['pairs']:,} first sentences, each with its true second, one of another document, one of the same "
        f"document and the pair turned around; {counts['masked_tokens']:,} masked tokens ({share:.0%}); "
        f"{counts['sense_uses']} uses of {len(comparison.model.senses)} words in known senses. Every model got the "
        f"same questions; two standard errors of an NSP accuracy are {1 / (2 * counts['pairs']) ** 0.5:.3f} at most. "
        "`evaluation.json` has it all.\n\n" + _table(("", *names), rows)
    )


def _measured_while_training(made: TrainingRecord) -> str:
    first, last = made.progress.evaluations[0], made.progress.evaluations[-1]
    rows = [(label, f"{first[name]:.3f}", f"{last[name]:.3f}") for name, label in _WHILE_TRAINING.items()]
    return (
        f"**Measured** on the held-out documents, {made.settings['mask_share']:.0%} of the tokens hidden:\n\n"
        + _table(("", "start", "this model"), rows)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _limits(comparison: Comparison | None) -> str:
    more = (
        "The word senses are everyday English ones, whatever the model was taught. "
        if comparison
        else "`polyseme evaluate` also asks for pairs of one document, for the order of a pair and for word senses. "
    )
    return (
        "**Limits.** The held-out documents come from the same sources as the text: on other text the model does "
        "worse. Random negatives come from other documents, where topic alone solves much: a high probability is no "
        f"proof of good order. {more}A model repeats what its text says and how it says it, bias included."
    )
