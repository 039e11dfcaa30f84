"""The splitter of text that is split already: a line is a sentence. Also for verse."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polyseme.storage.records import Sentence

NAME = "lines/1"

_LINE = re.compile(r"\S[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*")


def sentences(text: str) -> Iterator[Sentence]:
    """Yield each line that is not blank, without whitespace at its ends."""
    for line in _LINE.finditer(text):
        yield Sentence(line.start(), line.start() + len(line[0].rstrip()))
