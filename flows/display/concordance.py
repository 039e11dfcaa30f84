"""A concordance as lines for a terminal: keywords one below the other, in cells and not in characters.

Wide characters take two cells and combining marks none. Text from right to left keeps its own direction within its
column, so that the columns stay where they are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from polyseme.flows.display.terminal import escaped

_GAP = "  "
_SOURCE = 24
_KEYWORD = 30
_LEAST = 12
_LEFT_TO_RIGHT, _ISOLATED, _ENDED = "\u200e", "\u2068", "\u2069"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcordanceLine:
    """One occurrence: where it is, and the text before, of and after the keyword."""

    source: str
    before: str
    keyword: str
    after: str


def concordance(lines: Sequence[ConcordanceLine], *, context: int, width: int | None, isolate: bool) -> list[str]:
    """Return the lines, escaped, with up to `context` cells on each side, less if they would be wider than `width`.

    `isolate` puts directions for text from right to left around it, which terminals obey and files should not have.
    """
    shown = [
        ConcordanceLine(
            source=fitted(_one_line(line.source), _SOURCE),
            before=_one_line(line.before),
            keyword=fitted(_one_line(line.keyword), _KEYWORD),
            after=_one_line(line.after),
        )
        for line in lines
    ]
    source = max((cell_len(line.source) for line in shown), default=0)
    keyword = max((cell_len(line.keyword) for line in shown), default=0)
    if width is not None:
        context = max(_LEAST, min(context, (width - source - keyword - 3 * len(_GAP)) // 2))
    found = []
    for line in shown:
        before = fitted_end(line.before, context)
        cells = [
            _padded(line.source, source), _padded(before, context, at_end=True), _padded(line.keyword, keyword),
            fitted(line.after, context, mark=""),
        ]  # fmt: skip
        found.append(_joined(cells, isolate=isolate))
    return found


def fitted(text: str, cells: int, *, mark: str = "…") -> str:
    """Return `text`, or as much of its beginning as fits and `mark`."""
    if cell_len(text) <= cells:
        return text
    kept, room = "", cells - cell_len(mark)
    for character in text:
        room -= cell_len(character)
        if room < 0:
            break
        kept += character
    return kept + mark


def fitted_end(text: str, cells: int) -> str:
    """Return `text`, or as much of its end as fits. It begins with no mark of a character that was cut off."""
    kept, room = len(text), cells
    while kept and (room := room - cell_len(text[kept - 1])) >= 0:
        kept -= 1
    while kept and kept < len(text) and unicodedata.category(text[kept]) in ("Mn", "Me", "Cf"):
        kept += 1
    return text[kept:]


def _one_line(text: str) -> str:
    space = " " if text[-1:].isspace() else ""
    leading = " " if text[:1].isspace() else ""
    return escaped(leading + " ".join(text.split()) + space)


def _padded(text: str, cells: int, *, at_end: bool = False) -> str:
    space = " " * (cells - cell_len(text))
    return space + text if at_end else text + space


def _joined(cells: list[str], *, isolate: bool) -> str:
    if isolate and any(_is_right_to_left(cell) for cell in cells):
        return _LEFT_TO_RIGHT + _GAP.join(f"{_ISOLATED}{cell}{_ENDED}" for cell in cells)
    return _GAP.join(cells).rstrip()


def _is_right_to_left(text: str) -> bool:
    return not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
