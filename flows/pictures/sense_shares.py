"""The shares of the senses of a word in each slice of a corpus, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyseme.flows.display.terminal import escaped
from polyseme.flows.pictures.palette import colour, hatch
from polyseme.flows.pictures.picture import Chart, Picture, short
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_SLICE = 28


def sense_shares(word: str, slices: Sequence[Mapping[str, Any]]) -> Picture:
    """Return the picture of the rows of `drift_by`, a bar a slice, the first slice on top."""
    title = f"{word}: senses of {many(sum(row['occurrences'] for row in slices), 'occurrences')} by slice"
    senses = max(len(row["shares"]) for row in slices)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(len(slices))
        before = [0.0] * len(slices)
        for sense in range(senses):
            shares = [100 * row["shares"][sense] if sense < len(row["shares"]) else 0.0 for row in slices]
            axes.barh(
                places, shares, left=before, color=colour(sense + 1), hatch=hatch(sense + 1), edgecolor="white",
                linewidth=0.5, label=f"sense {sense + 1}",
            )  # fmt: skip
            before = [at + share for at, share in zip(before, shares, strict=True)]
        names = [f"{short(str(row['slice']), _LONGEST_SLICE)} ({row['occurrences']:,})" for row in slices]
        axes.set_yticks(places, [escaped(name) for name in names])
        axes.invert_yaxis()
        axes.set(xlabel="share of occurrences (%)", ylabel="slice (occurrences)", xlim=(0, 100))
        figure.legend(loc="outside lower left", frameon=False, ncols=4)

    rows = [
        {"slice": row["slice"], "sense": sense, "share": share}
        for row in slices
        for sense, share in enumerate(row["shares"], 1)
    ]
    height = 1.4 + 0.3 * len(slices) + 0.2 * -(-senses // 4)
    return Picture(
        title=title, charts=[Chart(kind="shares", title="Senses of each slice", rows=rows)], draw=draw, inches=height
    )
