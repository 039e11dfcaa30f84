"""An adaptation: what is asked for when a model is taught a corpus, and what of it decides the result.

Plain values that a deployment carries as parameters. Knows no folder and no model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Device, Precision
from polyseme.tasks.model.checkpoint import EMBEDDED
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.trainer import TrainingConfig

_EXTENDABLE = ("steps", "minutes", "checkpoint_seconds", "evaluations")
"""Settings that may change between two processes of one run: a finished one can be given more time."""
_NOT_THE_MODEL = ("out", "reading", "device", "evaluation_pairs", "license", "data_note")
"""What does not decide what is trained, and may change too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of a model trained from scratch."""

    vocabulary: int = 8000
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    positions: int = 512

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden, self.heads, self.positions) < 1 or self.hidden % self.heads:
            raise UsageError(f"--hidden must be a multiple of --heads, all at least 1; got {self.hidden}/{self.heads}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What to train on which text. Plain values, so that a deployment can carry it as parameters.

    `model` is where to start; with a `shape` a new model is started from scratch instead, with a vocabulary learned
    from the sources. `held_out` is the share of documents kept out of training. `evaluation_pairs` is about how many
    pairs of sentences of each kind the finished model and its start are asked for the card; None is as many as training
    took seconds, within bounds, and 0 asks nothing. `license` and `data_note` (where the text is from) go into it.
    """

    sources: list[str]
    out: str
    training: TrainingConfig
    model: str = EMBEDDED
    shape: Shape | None = None
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    reading: ReadOptions = field(default_factory=ReadOptions)
    device: Device = "auto"
    precision: Precision | Literal["auto"] = "auto"
    held_out: float = 0.02
    limit: int | None = None
    evaluation_pairs: int | None = None
    license: str | None = None
    data_note: str | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise UsageError("Nothing to learn from: name at least one file, folder or glob.")
        if "-" in self.sources and self.shape is not None:
            raise UsageError("Standard input can be read only once; from scratch the text is read twice. Name a file.")
        if not 0 < self.held_out < 1:
            raise UsageError(f"--held-out must lie between 0 and 1, got {self.held_out}.")
        if self.evaluation_pairs is not None and self.evaluation_pairs < 0:
            raise UsageError(f"--evaluation-pairs must be 0 or more, got {self.evaluation_pairs}.")
        if self.precision == "int8":
            raise UsageError("Training runs in fp32 or bf16, not int8.")

    def identity(self, start_sha256: str | None) -> dict[str, Any]:
        """Return everything that decides what the run makes, as plain JSON values."""
        settings = asdict(self)
        for name in _EXTENDABLE:
            del settings["training"][name]
        for name in _NOT_THE_MODEL:
            del settings[name]
        flat = {**settings.pop("training"), **settings.pop("objective"), **settings}
        sources = [str(Path(source).resolve()) for source in self.sources]
        return {**flat, "sources": sources, "start_sha256": start_sha256}
