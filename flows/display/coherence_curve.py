"""The coherence curve of one document: which margins it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal


def curve_of(steps: Sequence[Mapping[str, Any]]) -> Literal["margin", "order_margin"]:
    """Return what the curve of `steps` shows: their margins, or order margins if the model has no NSP head."""
    return "order_margin" if steps and all(step["margin"] is None for step in steps) else "margin"
