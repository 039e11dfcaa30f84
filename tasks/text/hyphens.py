"""Words that a line end divides: where their hyphen and line end are, and the word without them.

A hyphen between letters, the second of which is a small one and begins the next line. A compound whose hyphen would be
there anyway (`well-` / `known`) looks the same, and is joined too: which of them it is takes a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from polyseme.tasks.text.kept_text import Edit

_DIVISION = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ad]\n[ \t]{0,200}+(?=[^\W\d_])")


def divisions(text: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each hyphen with its line end and what indents the next line."""
    return (found.span() for found in _DIVISION.finditer(text) if text[found.end()].islower())


def undivided(word: str) -> str:
    """Return a word of a text without the line ends in it."""
    return _DIVISION.sub("", word) if "\n" in word else word


def with_divisions(text: str, edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield edits of a text, which are in order, and those that join its words where there is no other."""
    others = divisions(text)
    waiting = next(others, None)
    at = 0
    for edit in (*edits, Edit(len(text) + 1, len(text) + 1)):
        while waiting is not None and waiting[1] <= edit.start:
            if waiting[0] >= at:
                yield Edit(*waiting)
            waiting = next(others, None)
        if edit.stop <= len(text):
            yield edit
        at = edit.stop
        while waiting is not None and waiting[0] < at:
            waiting = next(others, None)
