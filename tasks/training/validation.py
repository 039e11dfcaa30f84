"""Validation metrics: MLM and NSP of a model on held-out text, from the same batches for every model.

BERT's own objective only; senses and sentence order are measured in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from polyseme.storage.records import Precision
from polyseme.tasks.arrays import Ints
from polyseme.tasks.model.batch_pool import BatchPool
from polyseme.tasks.training.network import forward, loss_sums, to
from polyseme.tasks.training.objective import Examples, Objective
from polyseme.tasks.training.segment_pairs import KIND_NAMES, NEXT


@dataclass(frozen=True, slots=True, eq=False)
class ValidationMetrics:
    """The counts and losses of a model over all batches. Losses are sums in nats.

    `margins` is `(n,)`: logit_is_next - logit_not_next of every pair; `kind` is the kind of each.
    """

    masked: int
    top1: int
    top5: int
    mlm: float
    nsp: float
    margins: npt.NDArray[np.float64]
    kind: Ints

    def scores(self) -> dict[str, float]:
        """Return accuracies between 0 and 1, NSP's also by kind of pair, and losses in nats per token and pair."""
        right = (self.margins > 0) == (self.kind == NEXT)
        kinds = {name: right[self.kind == kind] for kind, name in enumerate(KIND_NAMES)}
        return {
            "mlm_loss": self.mlm / self.masked,
            "mlm_top1": self.top1 / self.masked,
            "mlm_top5": self.top5 / self.masked,
            "nsp_loss": self.nsp / len(self.kind),
            "nsp_accuracy": float(right.mean()),
            **{f"nsp_accuracy_{name}": float(found.mean()) for name, found in kinds.items() if len(found)},
        }


def validate(
    model: Any, batches: Iterable[Examples], *, device: torch.device, precision: Precision,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> ValidationMetrics:  # fmt: skip
    """Validate `model`, which must be in evaluation mode. `on_batch` is called with each batch's number of tokens."""

    def work(batch: Examples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        with torch.inference_mode():
            output = forward(model, batch, device, precision)
            mlm, nsp, _ = loss_sums(output, batch)
            hits = output.tokens.topk(5, dim=1).indices == to(device, batch.mlm_labels)[:, None]
            margins = (output.pairs[:, 0] - output.pairs[:, 1]).cpu().double().numpy()  # Metal has no float64
        return np.array([len(hits), int(hits[:, 0].sum()), int(hits.sum()), float(mlm), float(nsp)]), margins

    batches = list(batches)
    results = []
    with closing(BatchPool().map(work, batches)) if device.type == "cpu" else nullcontext(map(work, batches)) as done:
        for batch, result in zip(batches, done, strict=True):
            results.append(result)
            on_batch(batch.n_tokens)
    sums = np.sum([counts for counts, _ in results], axis=0)
    return ValidationMetrics(
        masked=int(sums[0]),
        top1=int(sums[1]),
        top5=int(sums[2]),
        mlm=float(sums[3]),
        nsp=float(sums[4]),
        margins=np.concatenate([margins for _, margins in results]),
        kind=np.concatenate([batch.kind for batch in batches]),
    )


def fixed_batches(objective: Objective, *, pairs: int, size: int) -> list[Examples]:
    """Return at least `pairs` examples of the objective in batches of `size`, the same for every call."""
    steps = -(-pairs // objective.pairs)
    return [batch for step in range(steps) for batch in objective.step(step, size)]
