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
from polyseme.tasks.engine import Engine, EngineConfig
from polyseme.tasks.evaluation.evaluation import (
    FIGURES,
    Evaluation,
    EvaluationConfig,
    OnBatch,
    default_data,
    evaluate_text,
)
from polyseme.tasks.evaluation.sense_probe import read_uses
from polyseme.tasks.evaluation.similarity_probe import read_graded_pairs
from polyseme.tasks.training.corpus import TrainingText

COMPARISON_FILE = "evaluation.json"


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

    def to_json(self) -> str:
        """Return the comparison as JSON, the same for the same figures."""
        return json.dumps(asdict(self), indent=2) + "\n"


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
