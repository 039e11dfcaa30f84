"""Text to sentence spans.

Blank lines and list items end a sentence by layout, Punkt (Kiss & Strunk 2006, as trained by nupunkt) decides inside,
and stops that Punkt has never seen (`。`, `।`, `؟`) end one too. Knows nothing of tokens or models. Spans are half-open
ranges of characters; everything here only ever *cuts* the text, so no character can be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import merge

from nupunkt import __version__, sent_spans

from polyseme.storage.records import Sentence

SPLITTER = f"nupunkt-{__version__}/1"
"""Name of this way to split, part of every encoding. The number after `/` rises with any change below."""

MAX_CHARS = 10_000
"""Text handed to Punkt at once. A sentence longer than this is cut at whitespace, between two words."""

_NEWLINE = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_BLANK = rf"[^\S{_NEWLINE}]*+"
_CRLF = r"(?:(?<=\r)\n)?+"
_LIST_MARKER = r"(?:[-*•‣◦▪·]|\(?\d{1,3}[.)]|\(?[A-Za-z]\))[ \t]"
_BLOCK_BREAK = re.compile(
    rf"[{_NEWLINE}]{_CRLF}(?:(?:{_BLANK}[{_NEWLINE}]{_CRLF})++|(?<=\u2029)|(?={_BLANK}{_LIST_MARKER}))"
)
_FOREIGN_STOP = re.compile(r"[。｡！？।॥؟۔][。｡！？।॥؟۔」』】》〉）”’»\"')\]]*+")
_SPACE = re.compile("[^\\S ]")
_LONG_RUN = re.compile(r"(?<![^ ])([^ ]{100})([^ ]+)(?=[^ ]{100}(?: |$))")


def split(text: str) -> list[Sentence]:
    """Return all `sentences` of a text."""
    return list(sentences(text))


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of `text`: in order, disjoint, never blank, no whitespace at either end.

    Every character that is not whitespace lies in exactly one of them. Time is linear in the text, whatever it holds.
    """
    foreign = (match.end() for match in _FOREIGN_STOP.finditer(text))
    start = 0
    for cut in merge(foreign, _cuts(text), (len(text),)):
        # Two rules may cut at one place, and between cuts there may be nothing but whitespace.
        if start < cut and (sentence := _strip(text, start, cut)).start < sentence.stop:
            yield sentence
        start = cut


def _cuts(text: str) -> Iterator[int]:
    """Yield in order, some more than once, the positions where layout and Punkt begin a sentence."""
    begin = 0
    for match in _BLOCK_BREAK.finditer(text):
        yield from (begin + cut for cut in _punkt_cuts(text[begin : match.start()]))
        begin = match.end()
    yield from (begin + cut for cut in _punkt_cuts(text[begin:]))


def _punkt_cuts(block: str) -> Iterator[int]:
    """Yield where sentences begin in a block, 0 among them."""
    # Punkt reads a newline as the end of a paragraph, which a hard-wrapped line is not: one space for each, so that
    # positions stay.
    flat = _SPACE.sub(" ", block)
    begin, end = 0, len(flat)
    while begin < end:
        stop = end if end - begin <= MAX_CHARS else _word_break(flat, begin, end)
        starts = _sentence_starts(flat[begin:stop])
        if stop < end and len(starts) > 1:
            # The last sentence may go on behind the piece: it opens the next one.
            stop = begin + starts.pop()
        yield from (begin + start for start in starts)
        begin = stop


def _word_break(flat: str, begin: int, end: int) -> int:
    """Return the last space in reach of `begin`, or where a word longer than that ends."""
    last = flat.rfind(" ", begin + 1, begin + MAX_CHARS)
    if last < 0:
        last = flat.find(" ", begin + MAX_CHARS, end)
    return end if last < 0 else last


def _sentence_starts(piece: str) -> list[int]:
    """Return where Punkt begins a sentence in `piece`, which holds no whitespace but spaces. The first is 0."""
    # Punkt's time is quadratic in a run of punctuation without a space (100,000 characters of `.)` take 13 s). Inside
    # a run this long there is nothing to decide: its middle reads as letters.
    calm = _LONG_RUN.sub(lambda run: run[1] + "x" * len(run[2]), piece)
    return sorted({0, *(start for start, _ in sent_spans(calm))})


def _strip(text: str, start: int, stop: int) -> Sentence:
    raw = text[start:stop]
    start += len(raw) - len(raw.lstrip())
    return Sentence(start, start + len(raw.strip()))
