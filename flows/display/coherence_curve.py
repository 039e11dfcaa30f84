"""The coherence of one document as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal


def curve_of(steps: Sequence[dict[str, Any]]) -> Literal["margin", "order_margin"]:
    """Return what the curve of `steps` shows: their margins, or order margins if the model has no NSP head."""
    return "order_margin" if steps and all(step["margin"] is None for step in steps) else "margin"


def draw_coherence_curve(title: str, steps: Sequence[dict[str, Any]]) -> str:
    """Return the coherence curve as SVG."""
    from polyseme.flows.display.svg import Step, curve

    shown = curve_of(steps)
    points = [Step(s[shown], s["is_break"], f"{s['text']} → {s['next_text']}") for s in steps]
    return curve(points, title=f"{title}: {shown.replace('_', ' ')} of each step")
