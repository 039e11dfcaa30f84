"""The curve of a training run: losses by step, and held-out accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polyseme.flows.pictures.palette import colour
from polyseme.flows.pictures.picture import Chart, Picture
from polyseme.tasks.training.checkpoints import TrainingProgress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 120


def loss_curve(progress: TrainingProgress, *, title: str) -> Picture:
    """Return the picture of a run: MLM loss, NSP loss, held-out MLM top-1 and NSP accuracy, one panel each."""
    steps = [log.step for log in progress.log]
    marks = [float(evaluation["step"]) for evaluation in progress.evaluations]
    panels = {
        "MLM loss (nats a token)": _smoothed(steps, [log.mlm for log in progress.log]),
        "NSP loss (nats a pair)": _smoothed(steps, [log.nsp for log in progress.log]),
        "held-out MLM top-1": (marks, [e["mlm_top1"] for e in progress.evaluations]),
        "held-out NSP accuracy": (marks, [e["nsp_accuracy"] for e in progress.evaluations]),
    }

    def draw(figure: Figure) -> None:
        for axes, (name, (xs, ys)) in zip(figure.subplots(2, 2, sharex=True).flat, panels.items(), strict=True):
            axes.plot(xs, ys, color=colour(1), marker="o", markersize=3, linewidth=1)
            axes.set(xlabel="step", ylabel=name)

    charts = [
        Chart(kind="progress", title=name, rows=[{"step": x, "value": y} for x, y in zip(xs, ys, strict=True)])
        for name, (xs, ys) in panels.items()
    ]
    return Picture(title=title, charts=charts, draw=draw, inches=4.5)


def _smoothed(steps: Sequence[int], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return means over equal ranges of steps, at most `_POINTS`."""
    groups = min(_POINTS, len(steps))
    if not groups:
        return [], []
    x, y = (np.array_split(np.asarray(numbers, float), groups) for numbers in (steps, values))
    return [float(part.mean()) for part in x], [float(part.mean()) for part in y]
