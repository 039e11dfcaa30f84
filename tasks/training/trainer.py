"""Training: steps of MLM + NSP over an objective, exactly resumable, within a budget of steps or minutes.

On CPU a step's micro-batches run in parallel, each on one core, and their gradients are added in a fixed order: results
do not depend on the number of cores. A step's data depends on the seed and its number alone. Knows no sources and no
Prefect.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.records import Precision
from polyseme.tasks.model.batch_pool import BatchPool
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress, latest, restore, save
from polyseme.tasks.training.network import drift_sum, forward, loss_sums
from polyseme.tasks.training.objective import Examples, Objective

OnStep = Callable[[StepLog], None]

_EVALUATION_SPACING = 4
"""Between two evaluations training takes at least so many times as long as the first of them did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How to train. `steps` or `minutes` ends the run, whichever comes first; the learning rate falls to 0 there.

    A step has `pairs` in micro-batches of `micro`. `distill` is the weight of 1 - cosine to the start encoder's states.
    With `minutes` the learning rate follows the clock, so only a budget of steps is reproducible to the bit. Minutes
    count training alone; evaluations are not included. Raises UsageError for values out of range.
    """

    steps: int | None = None
    minutes: float | None = None
    pairs: int = 32
    micro: int = 16
    learning_rate: float = 1e-4
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    distill: float = 0.0
    checkpoint_seconds: float = 300.0
    evaluations: int = 10

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise UsageError("Set how long to train: --steps N or --minutes M.")
        if (self.steps is not None and self.steps < 1) or (self.minutes is not None and self.minutes <= 0):
            raise UsageError("A training run needs at least one step and more than 0 minutes.")
        if self.pairs < 2 or self.pairs % self.micro:
            raise UsageError(f"--pairs must be 2 or more and a multiple of {self.micro}, got {self.pairs}.")
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"--learning-rate must lie between 0 and 1, got {self.learning_rate}.")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"The warm-up is a share of the run, 0 or more and less than 1; got {self.warmup}.")
        if not 0 <= self.dropout < 1 or self.distill < 0:
            raise UsageError("--dropout must lie in [0, 1) and --distill must not be negative.")

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


@dataclass(slots=True)
class Trainer:
    """A model in training, with its optimizer. `folder` holds the checkpoints, `created` the heads initialised for it.

    `evaluate` returns figures of the model by name; it is called at the start, in between and at the end.
    """

    model: Any
    objective: Objective
    config: TrainingConfig
    folder: Path
    device: torch.device
    precision: Precision
    evaluate: Callable[[Any], dict[str, float]] = lambda model: {}
    created: tuple[str, ...] = ()
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    _optimizer: Any = field(init=False)
    _teacher: Any = field(init=False, default=None)
    _pool: BatchPool | None = field(init=False, default=None)
    _evaluation_seconds: float = field(init=False, default=0.0)
    _evaluated_at: float = field(init=False, default=0.0)
    _step_complete: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.model.to(self.device).train()
        if self.config.distill:
            self._teacher = copy.deepcopy(self.model.bert).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(_groups(self.model, self.config.weight_decay), lr=0.0, fused=True)
        if self.device.type == "cpu":
            # Dropout draws from one generator, whose order threads would change.
            self._pool = BatchPool(1 if self.config.dropout else None)

    def resume(self) -> bool:
        """Continue from the newest complete checkpoint in `folder`; return False if there is none."""
        path = latest(self.folder)
        if path is None:
            return False
        self.progress = restore(path, self.model, self._optimizer)
        return True

    def run(self, on_step: OnStep = lambda log: None) -> TrainingProgress:
        """Train until the budget is spent. `on_step` is called after every step and may raise to stop.

        Whatever stops it, the next run continues after the last finished step, or the last checkpoint if it was killed.
        Raises PolysemeError if the loss is not a number or a checkpoint cannot be written.
        """
        try:
            self._run(on_step)
        except BaseException:
            # A step that was being applied is lost; otherwise the model is that of the last finished step.
            if self._step_complete:
                self._save()
            raise
        self._save()
        return self.progress

    def _run(self, on_step: OnStep) -> None:
        progress, config = self.progress, self.config
        if not progress.evaluations:
            self._run_evaluation()
        saved = time.monotonic()
        share = config.share_done(progress.step, progress.seconds)
        while share < 1:
            begun = time.monotonic()
            rate = config.rate(config.share_done(progress.step + 0.5, progress.seconds))
            gradients, losses = self._gradients(progress.step, rate)
            self._step_complete = False
            self._apply(gradients, rate)
            progress.add(losses, time.monotonic() - begun)
            self._step_complete = True
            before, share = share, config.share_done(progress.step, progress.seconds)
            due = int(share * config.evaluations) > int(before * config.evaluations)
            trained = progress.seconds - self._evaluated_at
            if share >= 1 or (due and trained >= _EVALUATION_SPACING * self._evaluation_seconds):
                self._run_evaluation()
            if time.monotonic() - saved >= config.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            on_step(progress.log[-1])
        if progress.evaluations[-1]["step"] != progress.step:
            # The last process was stopped during the final evaluation.
            self._run_evaluation()

    def _gradients(self, number: int, rate: float) -> tuple[list[Tensor], dict[str, float]]:
        """Return the step's gradients, one tensor per parameter, and its losses."""
        batches = self.objective.step(number, self.config.micro)
        torch.manual_seed(number)
        masked, pairs = sum(len(b.mlm_labels) for b in batches), sum(len(b.label) for b in batches)
        kept = sum(b.n_tokens - len(b.mlm_labels) for b in batches)
        parameters = list(self.model.parameters())

        def work(batch: Examples) -> tuple[tuple[Tensor, ...], Tensor]:
            output = forward(self.model, batch, self.device, self.precision)
            mlm, nsp = loss_sums(output, batch)
            drift = torch.zeros_like(mlm)
            if self._teacher is not None:
                drift = drift_sum(output, self._teacher, batch, self.device, self.precision)
            losses = torch.stack([mlm / masked, nsp / pairs, drift / kept])
            total = losses[0] + losses[1] + self.config.distill * losses[2]
            return torch.autograd.grad(total, parameters), losses.detach()

        gradients: list[Tensor] = []
        losses = torch.zeros(3, device=self.device)
        for part, loss in self._pool.map(work, batches) if self._pool else map(work, batches):
            gradients = list(part) if not gradients else [a.add_(b) for a, b in zip(gradients, part, strict=True)]
            losses += loss
        mlm, nsp, drift = losses.tolist()
        if not math.isfinite(mlm + nsp + drift):
            raise PolysemeError(
                f"The loss is not a number at step {number} (learning rate {rate:.1e}). Run again in another --out "
                "with a lower --learning-rate."
            )
        tokens = float(sum(b.n_tokens for b in batches))
        return gradients, {"mlm": mlm, "nsp": nsp, "drift": drift, "rate": rate, "tokens": tokens}

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        parameters = list(self.model.parameters())
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, self.config.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _run_evaluation(self) -> None:
        begun = time.monotonic()
        self.model.eval()
        try:
            self.progress.evaluations.append({"step": self.progress.step, **self.evaluate(self.model)})
        finally:
            self.model.train()
        self._evaluation_seconds, self._evaluated_at = time.monotonic() - begun, self.progress.seconds

    def _save(self) -> None:
        save(self.folder, self.model, self._optimizer, self.progress)


def _groups(model: Any, decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: weights with weight decay, biases and norms without."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
