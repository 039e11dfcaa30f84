"""Columns: rows of short texts, aligned under their headings and as wide as a terminal.

For what is read at a glance; `output` draws the tables of queries. Returns lines, prints none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polyseme.flows.display.terminal import escaped

_GAP = 2
_LEAST = 20
"""Characters that a column which takes what is left has at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading and a text for each row.

    Numbers are on the right. Of columns that do not fit, those with the greatest `rank` are left out. One that is
    `flexible` is cut to what the others leave; one that has no text at all is left out too.
    """

    heading: str
    texts: Sequence[str]
    number: bool = False
    rank: int = 0
    flexible: bool = False

    @property
    def width(self) -> int:
        return max(len(self.heading), *(len(text) for text in self.texts))


def aligned(columns: Sequence[Column], width: int, *, indent: str = "  ") -> list[str]:
    """Return the rows of `columns` under their headings, none wider than `width` if ranks allow it."""
    shown = [_escaped(column) for column in columns if any(column.texts)]
    room = width - len(indent)
    while _least(shown) > room and any(column.rank for column in shown):
        shown.remove(max(shown, key=lambda column: column.rank))
    left = room - _least(shown)
    widths = [min(column.width, _LEAST + max(0, left)) if column.flexible else column.width for column in shown]
    rows = zip(*((column.heading, *column.texts) for column in shown), strict=True)
    return [
        (indent + (" " * _GAP).join(map(_cell, row, widths, [column.number for column in shown]))).rstrip()
        for row in rows
    ]


def cut(text: str, width: int) -> str:
    """Return `text`, or as much of it as fits and `…`."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def _escaped(column: Column) -> Column:
    # Before they are aligned, so that they take the width that they have; and a row is one line.
    texts = [escaped(text).replace("\n", " ").replace("\t", " ") for text in column.texts]
    return Column(heading=column.heading, texts=texts, number=column.number, rank=column.rank, flexible=column.flexible)


def _least(columns: Sequence[Column]) -> int:
    widths = [min(_LEAST, column.width) if column.flexible else column.width for column in columns]
    return sum(widths) + _GAP * (len(columns) - 1)


def _cell(text: str, width: int, number: bool) -> str:
    return f"{text:>{width}}" if number else f"{cut(text, width):{width}}"
