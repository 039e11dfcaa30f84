"""The coherence of one document as a picture."""

from __future__ import annotations

from typing import Any


def draw_coherence_curve(title: str, steps: list[dict[str, Any]]) -> str:
    """Return the coherence curve as SVG."""
    from polyseme.flows.display.svg import Step, curve

    points = [Step(s["margin"], s["is_break"], f"{s['text']} → {s['next_text']}") for s in steps]
    return curve(points, title=f"{title}: margin of each step")
