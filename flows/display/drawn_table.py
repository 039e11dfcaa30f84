"""Drawn tables: rows in a box no wider than a terminal, or on their side if no box would be readable.

All columns stay. What does not fit is cut with `…`, the widest cells first; numbers and vectors are never cut. Widths
are those of a terminal, where letters of Chinese, Japanese and Korean and most emoji take two. Returns lines, prints
none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size

from polyseme.flows.display.table_cells import CellColumn

Sideways = Literal["auto", "on", "off"]
"""Whether records are shown on their side, a line for each column: if the box would be too wide, always, or never."""

_LEAST = 10
"""Characters that a cut text, or a heading, has at least: `The river…`."""
_PROSE, _LEAST_OF_PROSE = 40, 24
"""A column with a text of more characters than the first is for reading, and gives up to the second."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_AROUND = len("│  │") - 1
"""Characters beside each cell, and one more at the end."""
_LINES_OF_A_VALUE = 4
"""Lines that a long text takes on its side before it is cut, unless the user asked for this form."""
_LEAST_VALUE = 16
DOTS = "·"


@dataclass(frozen=True, slots=True)
class Drawing:
    """The lines of a table, and whether it is on its side because it was too wide."""

    lines: list[str]
    turned: bool


def draw(
    columns: Sequence[CellColumn], rows: Sequence[int], width: int | None, *, sideways: Sideways, raw: bool = True
) -> Drawing:
    """Return a table of the given rows; -1 stands for those left out. `width` is of the terminal, None for no limit.

    `raw` is for a query: the type of each column under its heading, and long texts cut, so that a record is one line.
    Other tables have neither: their texts go on below.
    """
    if sideways == "on":
        return Drawing(list(_records(columns, rows, width, whole=True)), turned=False)
    shown, widths = columns, [_natural(column, rows, raw) for column in columns]
    if width is not None and _total(widths) > width:
        shown = [_shortened(column) for column in columns]
        least = [_least(column, rows) for column in shown]
        wanted = [a if c.whole else _natural(c, rows, raw) for a, c in zip(least, shown, strict=True)]
        widths = _fitted(wanted, least, width - _total([0] * len(shown)))
        if _total(widths) > width and sideways == "auto":
            return Drawing(list(_records(columns, rows, width, whole=False)), turned=True)
    return Drawing(list(_box(shown, rows, widths, raw)), turned=False)


def cut(text: str, width: int) -> str:
    """Return `text`, or as much of it as fits into `width` and `…`: its beginning, or the end of an address."""
    if cell_len(text) <= width:
        return text
    if not _ADDRESS.match(text):
        return f"{set_cell_size(text, width - 1).rstrip()}…" if width > 0 else ""
    end = text[-width:]
    while cell_len(end) > width - 1:
        end = end[1:]
    return f"…{end}"


def _box(columns: Sequence[CellColumn], rows: Sequence[int], widths: Sequence[int], raw: bool) -> Iterator[str]:
    def line(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    def cells(texts: Iterable[str], on_the_right: Sequence[bool]) -> str:
        return "│" + "│".join(f" {_aligned(*cell)} " for cell in zip(texts, widths, on_the_right, strict=True)) + "│"

    numbers = [column.on_the_right for column in columns]
    yield line("┌", "┬", "┐")
    yield cells([column.heading for column in columns], numbers)
    if raw:
        yield cells([column.kind for column in columns], numbers)
    yield line("├", "┼", "┤")
    for row in rows:
        texts = [DOTS if row < 0 else column.texts[row] for column in columns]
        if raw:
            yield cells(texts, numbers)
        else:
            folded = [_folded_lines(text, width, whole=True) for text, width in zip(texts, widths, strict=True)]
            yield from (cells(texts, numbers) for texts in zip_longest(*folded, fillvalue=""))
    yield line("└", "┴", "┘")


def _records(columns: Sequence[CellColumn], rows: Sequence[int], width: int | None, *, whole: bool) -> Iterator[str]:
    names = max((cell_len(column.heading) for column in columns), default=0)
    if width is not None:
        names = min(names, max(_LEAST, width - _LEAST_VALUE - 3))
    room = None if width is None else max(_LEAST_VALUE, width - names - 3)
    for row in rows:
        if row < 0:
            yield DOTS
            continue
        title = f"─ {row + 1} "
        yield title + "─" * (max(0, (width or names + 1) - len(title)))
        for column in columns:
            first, *more = _folded_lines(column.texts[row], room, whole=whole)
            yield f"{_aligned(column.heading, names, False)} │ {first}".rstrip()
            yield from (f"{'':{names}} │ {text}" for text in more)


def _folded_lines(text: str, room: int | None, *, whole: bool) -> list[str]:
    """Return a value in lines of `room` characters, broken at spaces where there are some."""
    if room is None or cell_len(text) <= room:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, room) or [""]
        if not whole and len(lines) > _LINES_OF_A_VALUE:
            return [*lines[: _LINES_OF_A_VALUE - 1], cut(f"{lines[_LINES_OF_A_VALUE - 1]} …", room)]
    return lines


def _fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that together take `room`, or the least ones: the widest give first, until they are alike."""
    low, high = 0, max(natural, default=0)
    while low < high:  # the greatest cap under which all fit
        middle = (low + high + 1) // 2
        if sum(_capped(natural, least, middle)) <= room:
            low = middle
        else:
            high = middle - 1
    widths = _capped(natural, least, low)
    spare = room - sum(widths)
    for i, wanted in enumerate(natural):
        if spare > 0 and widths[i] < wanted:
            widths[i] += 1
            spare -= 1
    return widths


def _capped(natural: Sequence[int], least: Sequence[int], cap: int) -> list[int]:
    return [max(a, min(b, cap)) for a, b in zip(least, natural, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _AROUND * len(widths) + 1


def _natural(column: CellColumn, rows: Sequence[int], raw: bool) -> int:
    return max(cell_len(column.heading), cell_len(column.kind) if raw else 0, _content(column, rows))


def _least(column: CellColumn, rows: Sequence[int]) -> int:
    content, heading = _content(column, rows), cell_len(column.heading)
    text = min(content, _LEAST) if content <= _PROSE else _LEAST_OF_PROSE
    return max(min(heading, _LEAST), content if column.whole else text)


def _content(column: CellColumn, rows: Sequence[int]) -> int:
    return max((cell_len(column.texts[row]) for row in rows if row >= 0), default=0)


def _shortened(column: CellColumn) -> CellColumn:
    return CellColumn(
        heading=column.heading, kind=column.kind, texts=column.short, short=column.short,
        on_the_right=column.on_the_right, whole=column.whole,
    )  # fmt: skip


def _aligned(text: str, width: int, on_the_right: bool) -> str:
    text = cut(text, width)
    space = " " * (width - cell_len(text))
    return space + text if on_the_right else text + space
