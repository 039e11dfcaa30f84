"""The coherence of one document as a curve over its steps, with its breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyseme.flows.display.coherence_curve import curve_of
from polyseme.flows.pictures.palette import colour
from polyseme.flows.pictures.picture import Chart, Picture, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = ("sentence_index", "margin", "order_margin", "percentile", "is_break")
_LONGEST_TITLE = 70
_NAMES = {"margin": "NSP margin (log-odds)", "order_margin": "order margin (log-odds)"}


def coherence_curve(title: str, steps: Sequence[Mapping[str, Any]]) -> Picture:
    """Return the picture of the steps of a document, each from the sentence of its index to the next."""
    shown = curve_of(steps)
    whole = f"{short(title, _LONGEST_TITLE)}: {shown.replace('_', ' ')} of each step"

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        axes.axhline(0, color="#999999", linewidth=0.8)
        breaks = [step for step in steps if step["is_break"]]
        for number, step in enumerate(breaks):
            name = "break" if not number else None
            axes.axvline(step["sentence_index"], color=colour(2), linestyle=":", linewidth=1, label=name)
        places, values = [step["sentence_index"] for step in steps], [step[shown] for step in steps]
        axes.plot(places, values, color=colour(1), marker="o", markersize=2.5, linewidth=1)
        axes.plot(
            [step["sentence_index"] for step in breaks], [step[shown] for step in breaks], color=colour(2), marker="D",
            markersize=4, linestyle="none",
        )  # fmt: skip
        axes.set(xlabel="sentence", ylabel=_NAMES[shown])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if breaks:
            figure.legend(loc="outside lower left", frameon=False)

    rows = [{name: step.get(name) for name in _SHOWN} for step in steps]
    return Picture(
        title=whole, charts=[Chart(kind="coherence", title="Coherence of each step", rows=rows)], draw=draw, inches=3
    )
