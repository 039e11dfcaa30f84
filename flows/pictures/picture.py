"""A picture of a result, and the file it is written to: .svg, .png and .pdf for papers, .html to look at.

Figures are drawn by matplotlib, which `polyseme[plot]` installs. A page is drawn in the browser as the explorer's are,
needs nothing else, names each point that is pointed at, and has the numbers as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from polyseme.flows.display.columns import cut
from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES, PAGE = (".svg", ".png", ".pdf"), ".html"
_LONGEST_TITLE = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart of a page: its rows, and the kind of charts in the explorer's `charts.js` that shows them."""

    kind: str
    title: str
    rows: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn: `charts` on a page, `draw` into a figure that is `inches` high."""

    title: str
    charts: Sequence[Chart]
    draw: Callable[[Figure], None]
    inches: float


def can_draw_figures() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def check_picture(path: Path | None) -> None:
    """Raise UsageError if no picture can be written there: before the work whose result it shows."""
    if path is None:
        return
    if path.suffix not in (*FIGURES, PAGE):
        raise UsageError(
            f"--plot writes {', '.join(FIGURES)} or {PAGE}, not '{path.suffix or path.name}'. Name a file such as "
            "plot.svg."
        )
    if path.suffix != PAGE and not can_draw_figures():
        raise UsageError(
            f"A {path.suffix} file needs matplotlib, which is not installed: pip install 'polyseme[plot]'. "
            f"{path.with_suffix(PAGE).name} needs nothing more."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"Cannot write {path} (there is no folder {path.parent}). Name a file in a folder that exists."
        )


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture in the format that the ending of `path` names. Raises UsageError if that fails."""
    check_picture(path)
    if path.suffix == PAGE:
        from polyseme.flows.explorer.picture_page import picture_page

        content = picture_page(picture.title, [(c.kind, c.title, c.rows) for c in picture.charts]).encode()
    else:
        from polyseme.flows.pictures.figures import drawn

        content = drawn(picture, path.suffix.removeprefix("."))
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"Cannot write {path} ({error.strerror}). Name a file in a folder that exists.") from error


def short(text: str, most: int = _LONGEST_TITLE) -> str:
    """Return a text on one line, cut to what a picture has room for."""
    return cut(" ".join(text.split()), most)
