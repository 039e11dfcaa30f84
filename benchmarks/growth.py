"""Growth: a straight line fitted to measured points, the residuals, and a plot of both as SVG.

Knows nothing of what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from polyseme.flows.display.svg import COLOURS, STYLE

_WIDTH, _PANEL, _LEFT, _GAP = 380, 200, 60, 40
_INK, _FAINT = "#333", "#ccc"


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


def picture(panels: Sequence[Panel], *, title: str) -> str:
    """Return the panels as one SVG, two per row."""
    rows = -(-len(panels) // 2)
    width, height = 2 * _WIDTH, 40 + rows * _PANEL + 10
    body = "".join(_panel(p, (i % 2) * _WIDTH, 40 + (i // 2) * _PANEL) for i, p in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="{STYLE};max-width:100%;height:auto" role="img"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="20" y="24" fill="{_INK}" font-size="15" font-weight="600">{escape(title)}</text>{body}</svg>'
    )


def _panel(panel: Panel, left: int, top: int) -> str:
    """Draw one panel with both axes from zero, so that constants look constant."""
    x0, x1, y0, y1 = left + _LEFT, left + _WIDTH - 20, top + _PANEL - _GAP, top + 28
    most_x, most_y = max(panel.xs) or 1.0, 1.1 * max(*panel.ys, panel.line(max(panel.xs))) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return x0 + (x1 - x0) * x / most_x, y0 - (y0 - y1) * max(0.0, y) / most_y

    (ax, ay), (bx, by) = at(0, panel.line(0)), at(most_x, panel.line(most_x))
    dots = "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{COLOURS[0]}"><title>{x:,.4g} {escape(panel.x)}: {y:,.4g} '
        f"{escape(panel.y)}</title></circle>"
        for x, y in zip(panel.xs, panel.ys, strict=True)
        for px, py in [at(x, y)]
    )
    return (
        f'<text x="{x0}" y="{top + 14}" fill="{_INK}">{escape(panel.title)}</text>'
        f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="{_FAINT}"/>'
        f'<text x="{x0 - 6}" y="{y1 + 4}" text-anchor="end" fill="{_INK}">{_plain(most_y)}</text>'
        f'<text x="{x0 - 6}" y="{y0 + 4}" text-anchor="end" fill="{_INK}">0</text>'
        f'<text x="{x1}" y="{y0 + 16}" text-anchor="end" fill="{_INK}">{most_x:,.4g} {escape(panel.x)}</text>'
        f'<text x="{x0}" y="{y0 + 16}" fill="{_INK}">{escape(panel.y)}</text>'
        f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}" stroke="{COLOURS[1]}"/>{dots}'
    )


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
