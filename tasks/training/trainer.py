"""Training: steps of MLM + NSP over an objective, exactly resumable, within a budget of steps or minutes.

On CPU a step's micro-batches run in parallel, each on one core, and their gradients are added in a fixed order: results
do not depend on the number of cores. A step's data depends on the seed and its number alone. Knows no sources and no
Prefect.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Precision
from polyseme.tasks.model.batch_pool import BatchPool
from polyseme.tasks.training.checkpoints import LOSSES, StepLog, TrainingProgress, latest, restore, save
from polyseme.tasks.training.distillation import Teacher, sentence_drift, token_drift
from polyseme.tasks.training.lookahead import Lookahead
from polyseme.tasks.training.network import forward, loss_sums
from polyseme.tasks.training.objective import Examples, Objective
from polyseme.tasks.training.segment_pairs import NEXT, SWAPPED
from polyseme.tasks.training.settings import TrainingConfig, require_layers

OnStep = Callable[[StepLog], None]

_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Not cuDNN's, PyTorch's first choice on an H200: it compiles a plan for every shape of a batch, and a first step of a
shape took ten times as long."""
_EVALUATION_SPACING = 4
"""Between two evaluations training takes at least so many times as long as the first of them did."""


@dataclass(slots=True)
class Trainer:
    """A model in training, with its optimizer. `folder` holds the checkpoints, `created` the heads initialised for it.

    `teacher` is the model whose vectors are kept, if the configuration says so; it is taken over and frozen. Without
    one nothing is distilled.
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
    teacher: Any = None
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    _optimizer: Any = field(init=False)
    _teacher: Teacher | None = field(init=False, default=None)
    _parameters: list[Any] = field(init=False)
    _pool: BatchPool | None = field(init=False, default=None)
    _evaluation_seconds: float = field(init=False, default=0.0)
    _evaluated_at: float = field(init=False, default=0.0)
    _step_complete: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        self.model.to(self.device).train()
        if self.device.type == "cpu" and self.precision == "bf16":
            # The backward pass of PyTorch's fused attention in bf16 takes half of a step on AMX: 120 ms a layer of 16
            # sequences of 72 tokens, 12 heads of 32. Plain products make a step 1.5x as fast.
            self.model.set_attn_implementation("eager")
        if self.config.distills and self.teacher is not None:
            self._teacher = Teacher.of(self.teacher, self.device)
        freeze(self.model, self.config.freeze_layers)
        self._parameters = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(_groups(self._parameters, self.config.weight_decay), lr=0.0, fused=True)
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
            with (
                closing(Lookahead(self.objective, self.config.batch(self.device))) as examples,
                sdpa_kernel(_ATTENTION),
            ):
                self._run(examples, on_step)
        except BaseException:
            # A step that was being applied is lost; otherwise the model is that of the last finished step.
            if self._step_complete:
                self._save()
            raise
        self._save()
        return self.progress

    def _run(self, examples: Lookahead, on_step: OnStep) -> None:
        progress, config = self.progress, self.config
        if not progress.evaluations:
            self._run_evaluation()
        saved = time.monotonic()
        share = config.share_done(progress.step, progress.seconds)
        while share < 1:
            begun = time.monotonic()
            rate = config.rate(config.share_done(progress.step + 0.5, progress.seconds))
            gradients, losses = self._gradients(progress.step, examples.step(progress.step), rate)
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

    def _gradients(
        self, number: int, batches: list[Examples], rate: float
    ) -> tuple[list[Tensor | None], dict[str, float]]:
        """Return the gradients of step `number`, one tensor per parameter, and its losses."""
        torch.manual_seed(number)
        config, parameters = self.config, self._parameters
        in_order, swapped = (sum(int((b.kind == kind).sum()) for b in batches) for kind in (NEXT, SWAPPED))
        balance = in_order / max(1, swapped)
        count = {
            "mlm": sum(len(b.mlm_labels) for b in batches),
            "nsp": sum(len(b.kind) for b in batches),
            "order": max(1, 2 * in_order),
            "drift": sum(b.n_tokens - len(b.mlm_labels) for b in batches),
        }

        def work(batch: Examples) -> tuple[tuple[Tensor, ...], Tensor]:
            output = forward(self.model, batch, self.device, self.precision)
            mlm, nsp, order = loss_sums(output, batch, swapped_weight=balance)
            tokens, sentences = torch.zeros_like(mlm), torch.zeros_like(mlm)
            if self._teacher is not None and config.distill:
                tokens = token_drift(output, self._teacher, batch, self.device, self.precision)
            if self._teacher is not None and config.distill_sentences:
                added, n = sentence_drift(self.model, self._teacher, batch, self.device, self.precision)
                sentences = added / n / len(batches)
            sums = (mlm / count["mlm"], nsp / count["nsp"], order / count["order"], tokens / count["drift"], sentences)
            losses = torch.stack(sums)
            weights = torch.tensor([1, 1, 1, config.distill, config.distill_sentences], device=self.device)
            return torch.autograd.grad((losses * weights).sum(), parameters, allow_unused=True), losses.detach()

        gradients: list[Tensor | None] = []
        total = torch.zeros(len(LOSSES), device=self.device)
        for part, losses in self._pool.map(work, batches) if self._pool else map(work, batches):
            gradients = list(part) if not gradients else [_added(a, b) for a, b in zip(gradients, part, strict=True)]
            total += losses
        values = dict(zip(LOSSES, total.tolist(), strict=True))
        if not math.isfinite(sum(values.values())):
            raise PolysemeError(
                f"The loss is not a number at step {number} (learning rate {rate:.1e}). Run again in another --out "
                "with a lower --learning-rate."
            )
        return gradients, {**values, "rate": rate, "tokens": float(sum(b.n_tokens for b in batches))}

    def _apply(self, gradients: list[Tensor | None], rate: float) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.clip)
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


def freeze(model: Any, layers: int) -> None:
    """Exclude the lowest `layers` of `model` and, with one or more, its embeddings from training.

    Raises UsageError if the model has fewer layers.
    """
    require_layers(len(model.bert.encoder.layer), layers)
    if layers:
        for part in (model.bert.embeddings, *model.bert.encoder.layer[:layers]):
            part.requires_grad_(False)


def _added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Add two gradients, of which None is zero: a batch without swapped pairs says nothing of the order head."""
    if a is None or b is None:
        return b if a is None else a
    return a.add_(b)


def _groups(parameters: list[Any], decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: weights with weight decay, biases and norms without."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
