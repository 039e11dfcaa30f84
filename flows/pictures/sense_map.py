"""The occurrences of a word as a map, coloured by sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyseme.flows.display.terminal import escaped
from polyseme.flows.pictures.palette import colour, mark
from polyseme.flows.pictures.picture import Chart, Picture, short
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
_SHOWN = ("x", "y", "sense", "word", "text_before", "text_after", "doc_id", "sentence_index")


def sense_map(word: str, found: Sequence[Row], groups: Sequence[Row]) -> Picture:
    """Return the picture of the rows of `SENSES`, with the `groups` that `summarise` made of them."""
    title = f"{word}: {many(len(found), 'occurrences')}"

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for group in groups:
            rows, number = [row for row in found if row["sense"] == group["sense"]], group["sense"]
            near = f": {', '.join(group['neighbours'])}" if group["neighbours"] else ""
            axes.scatter(
                [row["x"] for row in rows], [row["y"] for row in rows], s=22, color=colour(number), marker=mark(number),
                alpha=0.75, linewidths=0, label=escaped(short(f"sense {number} ({group['size']}){near}")),
            )  # fmt: skip
        axes.set(xlabel="first principal component", ylabel="second principal component")
        figure.legend(loc="outside lower left", frameon=False)

    chart = Chart(
        kind="senses", title="Occurrences by sense", rows=[{name: row[name] for name in _SHOWN} for row in found]
    )
    return Picture(title=title, charts=[chart], draw=draw, inches=4.2 + 0.2 * len(groups))
