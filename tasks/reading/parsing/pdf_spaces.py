"""Spaces that PDFium does not see: gaps between the letters of a line that are as wide as one.

Programs that justify lines by moving single letters, such as groff, leave PDFium no space in one of thirty words:
"as theyare". Reading where each letter stands takes five times as long as reading the text, so it is tried on a few
pages, and done for all of a document in which one has such a gap.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from statistics import median
from typing import Any

_FIRST, _EVERY = 4, 16
"""The pages that are tried."""
_WIDTH = 0.17
"""Width of a gap that is a space, of the height of the font. Justified lines have them from .19 on."""
_OTHERS = 3
"""How many times wider than the usual gap of its line: the letters of a heading may all stand apart."""
_NO_SPACES = ((0x0E00, 0x0EFF), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xAC00, 0xD7FF), (0xF900, 0xFAFF))
"""Letters that stand apart without being words: Thai, Lao, Khmer, CJK."""


def lacks_spaces(document: Any) -> bool:
    """Return whether a page that is tried has a gap between two letters or digits."""
    return any(
        text[gap - 1].isalnum() and text[gap].isalnum()
        for i in range(len(document))
        if i < _FIRST or i % _EVERY == 0
        for page in [document[i].get_textpage()]
        for text in [page.get_text_range()]
        for gap in _gaps(page, text)
    )


def spaced_text(page: Any) -> str:
    """Return the text of a page of PDFium with a space in each gap."""
    text = page.get_text_range()
    parts, start = list[str](), 0
    for gap in _gaps(page, text):
        parts.append(text[start:gap])
        start = gap
    return " ".join([*parts, text[start:]])


def _gaps(page: Any, text: str) -> Iterator[int]:
    """Yield the places in the text of a page before which there is a gap."""
    if len(text) != page.count_chars():  # PDFium left out what is no character, and its places are others
        return
    line = list[tuple[int, float]]()
    for i, gap in _distances(page, text):
        if gap is not None:
            line.append((i, gap))
        elif line:
            yield from _wide(line)
            line = []
    yield from _wide(line)


def _wide(line: list[tuple[int, float]]) -> list[int]:
    """Return the places of the gaps of a line that are spaces."""
    wide = [i for i, gap in line if gap > _WIDTH]
    if not wide:
        return []
    usual = median(gap for _, gap in line)
    return [i for i, gap in line if gap > max(_WIDTH, _OTHERS * usual)]


def _distances(page: Any, text: str) -> Iterator[tuple[int, float | None]]:
    """Yield each letter that stands on a line behind another, and how far from it, of the font's height.

    None stands for the end of a line.
    """
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    where, measure, handle = ctypes.byref(box), raw.FPDFText_GetLooseCharBox, page.raw
    right = bottom = 0.0
    follows = False
    for i, letter in enumerate(text):
        if letter in "\r\n\ufffe\x02":
            yield i, None
            follows = False
        elif letter.isspace() or not letter.isprintable() or _stands_apart(letter):
            follows = False
        else:
            measure(handle, i, where)
            height = box.top - box.bottom
            if follows and height > 0 and abs(box.bottom - bottom) < height / 8:
                yield i, (box.left - right) / height
            right, bottom, follows = box.right, box.bottom, True


def _stands_apart(letter: str) -> bool:
    return letter > "\u0dff" and any(first <= ord(letter) <= last for first, last in _NO_SPACES)
