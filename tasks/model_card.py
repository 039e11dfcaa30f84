"""The card of a trained model: what it was made from, how, what it scored before and after. In Markdown."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

from tasks.training_state import Progress

_ROWS = (
    ("mlm_top1", "MLM top-1", 100.0, "%"),
    ("mlm_top5", "MLM top-5", 100.0, "%"),
    ("mlm_loss", "MLM loss, nats a token", 1.0, ""),
    ("nsp_accuracy", "NSP accuracy, negatives from other documents", 100.0, "%"),
    ("nsp_loss", "NSP loss, nats a pair", 1.0, ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a card says. `start` None is a model from scratch; `created` names the heads the start model had not."""

    name: str
    start: str | None
    created: tuple[str, ...]
    parameters: int
    documents: int
    text_tokens: int
    held_out_documents: int
    settings: dict[str, Any]
    precision: str
    device: str
    progress: Progress


def card(made: Made) -> str:
    """Return the card as Markdown with the front matter that model hubs read."""
    front = ["---", "tags: [bert, masked-language-modeling, next-sentence-prediction]", "---"]
    progress, settings = made.progress, made.settings
    heads = f" The {' and '.join(made.created)} head was new." if made.created and made.start else ""
    origin = f"Started from {made.start}.{heads}" if made.start else "Started from random weights."
    hidden = "whole words" if settings["whole_words"] else "tokens"
    lines = [
        *front,
        f"# {made.name}",
        "",
        f"A `BertForPreTraining` of {made.parameters / 1e6:,.1f} M parameters, float16, with heads for Masked Language "
        "Modeling and Next Sentence Prediction (label 0 means *is next*). Made by `polyseme adapt`.",
        "",
        f"**Made from.** {origin} Text: {made.documents:,} documents, {made.text_tokens:,} tokens; "
        f"{made.held_out_documents:,} more were held out. Write the text's source and licence here.",
        "",
        f"**Training.** {progress.step:,} steps of {settings['pairs']} pairs of 1 to {settings['max_sentences']} "
        f"sentences a side, up to {settings['max_tokens']} tokens: {progress.tokens:,} tokens. "
        f"{settings['mask_share']:.0%} of the {hidden} hidden (80/10/10), half of the pairs true. AdamW, peak learning "
        f"rate {settings['learning_rate']:g}, linear warm-up and decay"
        + (f", distillation weight {settings['distill']:g}" if settings["distill"] else "")
        + f"; seed {settings['seed']}; {made.precision} on {made.device} ({platform.machine()}, {os.cpu_count()} "
        f"cores), {progress.seconds / 60:,.1f} minutes of training.",
        "",
        f"**Measured** on the held-out documents{', before and after' if len(progress.evaluations) > 1 else ''}:",
        "",
        *_table(progress),
        "",
        "**Limits.** Negatives of the NSP figure come from other documents, where topic alone solves much. "
        "`polyseme evaluate` also asks for pairs of one document, for the order of a pair and for word senses.",
    ]
    return "\n".join(lines) + "\n"


def _table(progress: Progress) -> list[str]:
    first, last = progress.evaluations[0], progress.evaluations[-1]
    return [
        "| | start | this model |",
        "|---|---:|---:|",
        *(
            f"| {label} | {first[name] * scale:.{2 if unit == '' else 1}f} {unit} "
            f"| {last[name] * scale:.{2 if unit == '' else 1}f} {unit} |"
            for name, label, scale, unit in _ROWS
        ),
    ]
