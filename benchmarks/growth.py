"""Growth: a straight line fitted to measured points, the residuals, and a figure of both.

Knows nothing of what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polyseme.flows.pictures import picture
from polyseme.flows.pictures.palette import colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Line:
    """`intercept + slope * x`. `r2` is the share of variance explained, `off` the largest relative residual."""

    slope: float
    intercept: float
    r2: float
    off: float

    def __call__(self, x: float) -> float:
        return self.intercept + self.slope * x


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity `y` plotted against one size `x`."""

    title: str
    x: str
    y: str
    xs: Sequence[float]
    ys: Sequence[float]
    line: Line


def fit(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """Fit a line by least squares. For equal `ys`, `r2` is 1."""
    x, y = np.asarray(xs, float), np.asarray(ys, float)
    slope, intercept = np.polyfit(x, y, 1)
    left, spread = y - (intercept + slope * x), y - y.mean()
    r2 = 1.0 if not spread.any() else 1 - float(left @ left) / float(spread @ spread)
    return Line(float(slope), float(intercept), r2, float(np.max(np.abs(left) / np.maximum(y, 1e-9))))


def write_picture(panels: Sequence[Panel], path: Path, *, title: str) -> None:
    """Draw the panels, two a row, each with both axes from zero, so that constants look constant."""
    rows = -(-len(panels) // 2)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(rows, 2, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=False):
            most, highest = max(panel.xs) or 1.0, max(*panel.ys, panel.line(max(panel.xs))) or 1.0
            axes.plot([0, most], [panel.line(0), panel.line(most)], color=colour(2), linewidth=1)
            axes.plot(panel.xs, panel.ys, color=colour(1), marker="o", markersize=4, linestyle="none")
            axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y, xlim=(0, 1.05 * most), ylim=(0, 1.1 * highest))
        for axes in list(figure.axes)[len(panels) :]:
            axes.remove()

    picture.write_picture(picture.Picture(title=title, charts=[], draw=draw, inches=0.6 + 2.1 * rows), path)
