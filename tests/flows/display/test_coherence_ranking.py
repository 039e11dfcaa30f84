"""The ranking of coherence fits the terminal: the document and what it is ranked by stay, and curves are whole."""

from __future__ import annotations

import pytest

from polyseme.flows.display.coherence_ranking import folded_curve, ranking_lines

ROW = {
    "document": "Walking the Ossel: a river survey", "steps": 19, "mean margin": 0.54, "worst": -3.9,
    "after sentence": 1, "percentile": 0.7, "order margin": 0.58, "order score": None, "breaks": 1, "deepest": 12,
    "curve": "█▁▁▅▅▆▄▆▇▅▆█▃▆▆▄▅▅▄" * 3,
}  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_document_and_its_margin_stay_whatever_the_width(width: int) -> None:
    heading, row = ranking_lines([ROW], width)
    assert len(heading) <= width
    assert len(row) <= width
    assert heading.startswith("document")
    assert "mean margin" in heading
    assert "0.54" in row
    assert ("deepest" in heading) == (width == 200)


def test_a_curve_longer_than_the_terminal_goes_on_below_with_its_marks() -> None:
    curve, marks = "▁▂▃▄▅▆▇█" * 10, "".join("^" if i in (3, 70) else " " for i in range(80))
    lines = folded_curve(curve, marks, 42)
    assert [len(line) for line in lines if "█" in line] == [42, 42]
    assert "".join(line[2:] for line in lines if "█" in line) == curve
    assert lines[1].index("^") == 2 + 3
    assert lines[3].index("^") == 2 + 30
    assert folded_curve("▁▂", "  ", 80) == ["  ▁▂"]
