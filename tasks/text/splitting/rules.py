"""The splitter by rules: blocks of layout, cut where a stop ends a sentence.

Rests on no library, so its name has only the number of its rules. Time is linear in any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import merge

from polyseme.storage.records import Sentence
from polyseme.tasks.text.splitting import thai
from polyseme.tasks.text.splitting.boundaries import Rules, ends, rules_of
from polyseme.tasks.text.splitting.layout import Block, blocks
from polyseme.tasks.text.splitting.stops import ENDING, other_endings

KIND = "rules/"
NAME = f"{KIND}1"
"""The splitter's name, part of an encoding. The number is raised with any change of what it finds."""

MAX_CHARS = 10_000
"""A longer sentence is cut at whitespace, between two words."""

_WORD = re.compile(r"\S++")


def sentences(text: str, language: str = "en") -> Iterator[Sentence]:
    """Yield the sentences of `text`: in order, disjoint, never blank, no whitespace at either end.

    Every character that is not whitespace is in exactly one of them. `language` is a code of ISO 639-1.
    """
    rules, others = rules_of(language), other_endings(text)
    if thai.LETTER.search(text):
        others.append(thai.SPACE)
    for block in blocks(text):
        begin = block.start
        for cut in () if block.whole else _cuts(text, block, rules, others):
            yield from _stripped(text, begin, cut)
            begin = cut
        yield from _stripped(text, begin, block.stop)


def _cuts(text: str, block: Block, rules: Rules, others: list[re.Pattern[str]]) -> Iterator[int]:
    """Yield where sentences of a block end, in order."""
    begin = block.start
    found: Iterator[re.Match[str]] = ENDING.finditer(text, block.text_start, block.stop)
    if others:
        more = (pattern.finditer(text, block.text_start, block.stop) for pattern in others)
        found = merge(found, *more, key=lambda match: match.end())
    for match in found:
        if match.end() > begin and _ends(text, begin, match, block.stop, rules):
            begin = match.end()
            yield begin


def _ends(text: str, begin: int, found: re.Match[str], limit: int, rules: Rules) -> bool:
    if found.re is ENDING:
        return ends(text, begin, found, limit, rules)
    return found.re is not thai.SPACE or thai.ends_at(text, begin, found)


def _stripped(text: str, start: int, stop: int) -> Iterator[Sentence]:
    """Yield a sentence without whitespace at its ends, in parts if it is too long; nothing if it is blank."""
    raw = text[start:stop]
    start += len(raw) - len(raw.lstrip())
    stop = start + len(raw.strip())
    if stop - start <= MAX_CHARS:
        if start < stop:
            yield Sentence(start, stop)
        return
    taken = start
    for word in _WORD.finditer(text, start, stop):
        if word.end() - start > MAX_CHARS and start < taken:
            yield Sentence(start, taken)
            start = word.start()
        taken = word.end()
    yield Sentence(start, taken)
