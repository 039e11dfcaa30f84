"""An appraisal: the model that a run made and the one it started from, asked the same questions of held-out text.

Stands as `evaluation.json` beside the model, in the words of `polyseme evaluate --json`, and in the model's card. Knows
no run but the folder that keeps its answers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polyseme.storage.records import Device
from polyseme.tasks.engine import Engine, EngineConfig
from polyseme.tasks.evaluation.evaluation import Evaluation, EvaluationConfig, OnBatch, default_data, evaluate_text
from polyseme.tasks.evaluation.sense_probe import read_uses
from polyseme.tasks.training.corpus import TrainingText

COMPARISON_FILE = "evaluation.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The figures of both; `start` is None where a model began as random weights. `step` is where it was appraised."""

    step: int
    config: EvaluationConfig
    start: Evaluation | None
    model: Evaluation

    @property
    def both(self) -> list[Evaluation]:
        """The start model, where there is one, and the model."""
        return [found for found in (self.start, self.model) if found is not None]

    def to_json(self) -> str:
        """Return the appraisal as JSON, the same for the same answers."""
        return json.dumps(asdict(self), indent=2) + "\n"


def compare(
    start: str | None, model: Path, text: TrainingText, *, step: int, config: EvaluationConfig, device: Device,
    on_batch: OnBatch = lambda tokens: None,
) -> Comparison:  # fmt: skip
    """Measure both models on `text`, which their common tokenizer made, and on the senses that ship with Polyseme.

    One after the other, in fp32 on CPU, so that memory holds one. Raises UsageError where the text has no pairs.
    """
    uses = read_uses(default_data() / "senses.jsonl")

    def measured(name: str) -> Evaluation:
        return evaluate_text(Engine(EngineConfig(model=name, device=device)), text, uses, config, on_batch)

    return Comparison(
        step=step,
        config=config,
        start=None if start is None else measured(start),
        model=measured(str(model.resolve())),
    )


def read_comparison(folder: Path, *, step: int, config: EvaluationConfig) -> Comparison | None:
    """Return the appraisal kept in `folder`; None where there is none, or one of another step or other questions."""
    path = folder / COMPARISON_FILE
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text("utf-8"))
        found = Comparison(
            step=stored["step"],
            config=EvaluationConfig(**stored["config"]),
            start=_evaluation(stored["start"]),
            model=Evaluation(**stored["model"]),
        )
    except (ValueError, KeyError, TypeError):
        # Half written, or by another version: asking again is cheap beside training.
        return None
    return found if (found.step, found.config) == (step, config) else None


def _evaluation(stored: dict[str, Any] | None) -> Evaluation | None:
    return None if stored is None else Evaluation(**stored)
