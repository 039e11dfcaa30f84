"""The curve of a training run: losses by step and held-out accuracy, as plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from polyseme.flows.display.svg import COLOURS, STYLE
from polyseme.tasks.training.checkpoints import TrainingProgress

_POINTS = 120
_WIDTH, _PANEL, _LEFT, _RIGHT = 760, 150, 64, 20
_INK, _FAINT = "#333", "#ccc"


def loss_curve(progress: TrainingProgress, *, title: str) -> str:
    """Return the picture of a run: MLM loss, NSP loss, held-out MLM top-1 and NSP accuracy, one panel each."""
    steps = [log.step for log in progress.log]
    marks = [evaluation["step"] for evaluation in progress.evaluations]
    panels = [
        ("MLM loss, nats a token", *_smoothed(steps, [log.mlm for log in progress.log])),
        ("NSP loss, nats a pair", *_smoothed(steps, [log.nsp for log in progress.log])),
        ("held-out MLM top-1", marks, [e["mlm_top1"] for e in progress.evaluations]),
        ("held-out NSP accuracy", marks, [e["nsp_accuracy"] for e in progress.evaluations]),
    ]
    last = max([1.0, *steps, *marks])
    body = [_panel(40 + i * _PANEL, name, xs, ys, last) for i, (name, xs, ys) in enumerate(panels)]
    height = 40 + len(panels) * _PANEL + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'style="{STYLE};max-width:100%;height:auto" role="img"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="20" y="24" fill="{_INK}" font-size="15" font-weight="600">{escape(title)}</text>'
        f"{''.join(body)}</svg>"
    )


def _panel(top: int, name: str, xs: Sequence[float], ys: Sequence[float], last: float) -> str:
    low, high = min(ys, default=0.0), max(ys, default=1.0)
    span = high - low or 1.0
    bottom, inner = top + _PANEL - 40, _PANEL - 60
    places = [
        (_LEFT + (_WIDTH - _LEFT - _RIGHT) * x / last, bottom - (y - low) / span * inner)
        for x, y in zip(xs, ys, strict=True)
    ]
    dots = "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[0]}"><title>step {x:,.0f}: {y:.4g}</title></circle>'
        for (px, py), x, y in zip(places, xs, ys, strict=True)
    )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    labels = "".join(
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{_INK}">{value:.3g}</text>'
        for value, y in ((high, bottom - inner), (low, bottom))
    )
    return (
        f'<text x="{_LEFT}" y="{top + 12}" fill="{_INK}">{escape(name)}</text>{labels}'
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}" stroke="{_FAINT}"/>'
        f'<text x="{_WIDTH - _RIGHT}" y="{bottom + 16}" text-anchor="end" fill="{_INK}">step {last:,.0f}</text>'
        f'<polyline points="{line}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.5"/>{dots}'
    )


def _smoothed(steps: Sequence[int], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return means over equal ranges of steps, at most `_POINTS`."""
    groups = min(_POINTS, len(steps))
    if not groups:
        return [], []
    x, y = (np.array_split(np.asarray(numbers, float), groups) for numbers in (steps, values))
    return [float(part.mean()) for part in x], [float(part.mean()) for part in y]
