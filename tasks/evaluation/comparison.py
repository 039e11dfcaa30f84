"""A comparison: the model that a run trained and the one it started from, evaluated on the same held-out text.

Stored as `evaluation.json` beside the model, in the format of `polyseme evaluate --json`, and in the model card. Knows
nothing of the run but the folder in which its results are stored.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polyseme.storage.records import Device
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.evaluation import (
    FIGURES,
    Evaluation,
    EvaluationConfig,
    OnBatch,
    default_data,
    evaluate_text,
    shown,
)
from polyseme.tasks.evaluation.sense_probe import read_uses
from polyseme.tasks.evaluation.similarity_probe import read_graded_pairs
from polyseme.tasks.training.corpus import TrainingText

COMPARISON_FILE = "evaluation.json"

_NOTICEABLE = 0.005
_WORSE_FOR_SEARCH = "this model's vectors are worse for search than the start model's; raise --distill-sentences"
_LOSSES = {
    "similarity": ("sentence similarity", _WORSE_FOR_SEARCH),
    "article_first": ("the share of sentences nearest to one of their own document", _WORSE_FOR_SEARCH),
    "senses_1nn": (
        "the accuracy of word senses",
        "this model's word vectors tell senses apart less well than the start model's; raise --distill",
    ),
}
"""The figures of vectors that training can cost: name, and what to do about a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The evaluations of both at training step `step`; `start` is None if the model started from random weights."""

    step: int
    config: EvaluationConfig
    start: Evaluation | None
    model: Evaluation

    @property
    def both(self) -> list[Evaluation]:
        """The evaluations of the start model, if there is one, and of the model."""
        return [evaluation for evaluation in (self.start, self.model) if evaluation is not None]

    @property
    def warnings(self) -> list[str]:
        """A sentence for every figure of vectors that fell by more than 0.005 against the start model."""
        if self.start is None:
            return []
        found = []
        for name, (what, consequence) in _LOSSES.items():
            before, after = self.start.figures[name], self.model.figures[name]
            # Without the rounding, a loss of 0.005 itself would be noticed or not by the last bit.
            if before is not None and after is not None and round(before - after, 9) > _NOTICEABLE:
                found.append(f"{what} fell from {shown(name, before)} to {shown(name, after)}: {consequence}")
        return found

    def to_json(self) -> str:
        """Return the comparison as JSON, with its warnings, the same for the same figures."""
        return json.dumps({**asdict(self), "warnings": self.warnings}, indent=2) + "\n"


def compare(
    start: str | None, model: Path, text: TrainingText, *, step: int, config: EvaluationConfig, device: Device,
    on_batch: OnBatch = lambda tokens: None,
) -> Comparison:  # fmt: skip
    """Evaluate both models on `text`, made by their common tokenizer, and on the probe sets that ship with Polyseme.

    One after the other, so that memory holds one. Raises UsageError if the text has no pairs.
    """
    uses = read_uses(default_data() / "senses.jsonl")
    graded = read_graded_pairs(default_data() / "similarity.jsonl")

    def evaluated(name: str) -> Evaluation:
        engine = Engine(EngineConfig(model=name, device=device))
        return evaluate_text(engine, text, uses, config, on_batch, graded=graded)

    return Comparison(
        step=step,
        config=config,
        start=None if start is None else evaluated(start),
        model=evaluated(str(model.resolve())),
    )


def read_comparison(folder: Path, *, step: int, config: EvaluationConfig) -> Comparison | None:
    """Return the comparison stored in `folder`; None if there is none for this step and configuration."""
    path = folder / COMPARISON_FILE
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
        comparison = Comparison(
            step=stored["step"],
            config=EvaluationConfig(**stored["config"]),
            start=_evaluation(stored["start"]),
            model=Evaluation(**stored["model"]),
        )
    except (ValueError, KeyError, TypeError):
        # Half written, or by another version: evaluating again is cheap compared with training.
        return None
    if any(found.figures.keys() != FIGURES.keys() for found in comparison.both):
        return None  # by a version with other figures
    return comparison if (comparison.step, comparison.config) == (step, config) else None


def _evaluation(stored: dict[str, Any] | None) -> Evaluation | None:
    return None if stored is None else Evaluation(**stored)
