"""The request for an adaptation (continued pretraining on a corpus), and the settings in it that decide the result.

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
from polyseme.tasks.training.settings import TrainingConfig

_EXTENDABLE = ("steps", "minutes", "checkpoint_seconds", "evaluations", "micro")
"""Training settings that may change when a run is continued: a finished run can be given more time, and batches of
another size only round differently."""
_NOT_THE_MODEL = ("out", "teacher", "reading", "device", "evaluation_pairs", "license", "data_note")
"""Settings that do not affect the trained model, and may change too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of a model trained from scratch. Raises UsageError if `heads` does not divide `hidden`."""

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

    `model` is the start model; with a `shape` a new model is trained from scratch instead, with a vocabulary trained on
    the sources. `teacher` is the model whose vectors are kept as far as `training` says so, by default the start model;
    `blend` is the share of its weights in the average with the start model's from which training begins.
    `add_layers` are put above the start model's, for the heads alone; `order_head` adds that head. `held_out` is
    the share of documents held out of training, `limit` the most documents to read. `evaluation_pairs` is the
    number of sentence pairs of each kind on which the trained model and its start are evaluated for the card; None
    is one per second of training, within bounds, and 0 means no evaluation. `license` and `data_note` (the origin
    of the text) are printed in the card. Raises UsageError for values out of range.
    """

    sources: list[str]
    out: str
    training: TrainingConfig
    model: str = EMBEDDED
    teacher: str | None = None
    blend: float = 0.0
    add_layers: int = 0
    order_head: bool = False
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
            raise UsageError("No sources to train on: name at least one file, folder or glob.")
        if "-" in self.sources and self.shape is not None:
            raise UsageError("Standard input can be read only once; from scratch the text is read twice. Name a file.")
        if not 0 <= self.blend < 1 or (self.blend and self.teacher is None):
            raise UsageError(f"--blend is a share of --teacher's weights, from 0 to below 1; got {self.blend}.")
        if self.add_layers < 0:
            raise UsageError(f"--add-layers must be 0 or more, got {self.add_layers}.")
        if self.shape is not None and (self.add_layers or self.teacher is not None):
            raise UsageError(
                "A model from scratch has no layers to add to and no vectors to keep. Leave out --add-layers and "
                "--teacher."
            )
        if not 0 < self.held_out < 1:
            raise UsageError(f"--held-out must lie between 0 and 1, got {self.held_out}.")
        if self.evaluation_pairs is not None and self.evaluation_pairs < 0:
            raise UsageError(f"--evaluation-pairs must be 0 or more, got {self.evaluation_pairs}.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")
        if self.precision == "int8":
            raise UsageError("Training runs in fp32 or bf16, not int8.")

    def identity(self, start_sha256: str | None, teacher_sha256: str | None = None) -> dict[str, Any]:
        """Return all settings that decide the trained model, as plain JSON values.

        Models are identified by their fingerprints: a folder can hold another one when a run is continued.
        """
        settings = asdict(self)
        for name in _EXTENDABLE:
            del settings["training"][name]
        for name in _NOT_THE_MODEL:
            del settings[name]
        flat = {**settings.pop("training"), **settings.pop("objective"), **settings}
        sources = [str(Path(source).resolve()) for source in self.sources]
        return {**flat, "sources": sources, "start_sha256": start_sha256, "teacher_sha256": teacher_sha256}
