"""Settings of a training run: its budget, its steps, and its learning rate. Without PyTorch, as a command needs them.

Knows no text and no network; the shape of examples is the objective's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    import torch

_GPU_PAIRS = 128
"""The most pairs of a batch on a GPU by default: many times as fast as 16 on an H200 (docs/performance.md). A model of
BERT-base's shape should need some 10 GB for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How to train. `steps` or `minutes` ends the run, whichever comes first; the learning rate falls to 0 there.

    A step has `pairs` in micro-batches of `micro`; None is 16 or 8 on CPU and up to 128 on a GPU. `distill` and
    `distill_sentences` are the weights of 1 - cosine to the teacher's token and sentence vectors. `freeze_layers` are
    the lowest layers that do not move; with one or more, neither do the embeddings.
    With `minutes` the learning rate follows the clock, so only a budget of steps is reproducible to the bit. Minutes
    count training alone; evaluations are not included. Raises UsageError for values out of range.
    """

    steps: int | None = None
    minutes: float | None = None
    pairs: int = 32
    micro: int | None = None
    learning_rate: float = 1e-4
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    distill: float = 0.0
    distill_sentences: float = 5.0
    freeze_layers: int = 0
    checkpoint_seconds: float = 300.0
    evaluations: int = 10

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise UsageError("Set how long to train: --steps N or --minutes M.")
        if (self.steps is not None and self.steps < 1) or (self.minutes is not None and self.minutes <= 0):
            raise UsageError("A training run needs at least one step and more than 0 minutes.")
        if self.pairs < 2 or self.pairs % (step := self.micro or 8):
            raise UsageError(f"--pairs must be 2 or more and a multiple of {step}, got {self.pairs}.")
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"--learning-rate must lie between 0 and 1, got {self.learning_rate}.")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"The warm-up is a share of the run, 0 or more and less than 1; got {self.warmup}.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"--dropout must lie in [0, 1), got {self.dropout}.")
        if min(self.distill, self.distill_sentences, self.freeze_layers) < 0:
            raise UsageError("--distill, --distill-sentences and --freeze-layers must not be negative.")

    @property
    def distills(self) -> bool:
        """Whether a teacher is needed."""
        return self.distill > 0 or self.distill_sentences > 0

    def batch(self, device: torch.device) -> int:
        """Return the pairs of a batch on `device`."""
        if self.micro is not None:
            return self.micro
        if device.type == "cuda":
            return min(self.pairs, _GPU_PAIRS)
        return 16 if self.pairs % 16 == 0 else 8

    def share_done(self, step: float, seconds: float) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        shares = (
            0.0 if self.steps is None else step / self.steps,
            0.0 if self.minutes is None else seconds / (60 * self.minutes),
        )
        return min(1.0, max(shares))

    def rate(self, share: float) -> float:
        """Return the learning rate at that share of the budget: linear warm-up, then linear decay to 0."""
        rising = share / self.warmup if self.warmup else 1.0
        return self.learning_rate * min(rising, (1 - share) / (1 - self.warmup))


def require_layers(present: int, frozen: int) -> None:
    """Raise UsageError if more layers are to be frozen than there are."""
    if frozen > present:
        raise UsageError(f"--freeze-layers is {frozen}; the model has {present} layers.")
