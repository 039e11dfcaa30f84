"""The ranking of documents by coherence on a terminal: of columns that do not fit, those needed least go first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.flows.display.columns import Column, aligned, cut
from polyseme.flows.display.terminal import escaped

_RANKS = {
    "mean margin": 0, "order score": 1, "breaks": 2, "steps": 3, "curve": 4, "worst": 5, "after sentence": 6,
    "percentile": 7, "order margin": 8, "deepest": 9,
}  # fmt: skip
_CURVE, _BESIDE = 12, 60
"""Characters that a curve has at least, and those of the columns that are needed more."""


def ranking_lines(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return the lines; `rows` have `document`, `curve` and numbers, in the order in which they are shown."""
    columns = [Column(heading="document", texts=[row["document"] for row in rows], flexible=True)]
    for name in list(rows[0])[1:]:
        if name == "curve":
            texts = [cut(row[name], max(_CURVE, width - _BESIDE)) for row in rows]
        else:
            texts = ["" if row[name] is None else str(row[name]) for row in rows]
        columns.append(Column(heading=name, texts=texts, number=name != "curve", rank=_RANKS[name]))
    return [escaped(line) for line in aligned(columns, width, indent="")]


def folded_curve(curve: str, marks: str, width: int) -> list[str]:
    """Return a curve and the marks under it in pieces that fit, indented by two."""
    room = max(1, width - 2)
    lines = []
    for start in range(0, max(1, len(curve)), room):
        lines += [f"  {curve[start : start + room]}", f"  {marks[start : start + room]}".rstrip()]
    return [line for line in lines if line.strip()]
