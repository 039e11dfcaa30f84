"""The splitter of encodings that were made before there were rules. What it finds may never change.

Blank lines and list items end a sentence by layout, Punkt (Kiss & Strunk 2006, as trained by nupunkt) decides within a
block, and full stops unknown to Punkt (`。`, `।`, `؟`) end one too. Knows nothing of tokens or models. Spans are
half-open ranges of characters; the text is only ever *cut*, so no character can be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from heapq import merge
from importlib.metadata import PackageNotFoundError, version

from polyseme.storage.records import Sentence


def _punkt_version() -> str:
    """Return the version of nupunkt without importing it. Only splitting needs it: texts are encoded without."""
    try:
        return version("nupunkt")
    except PackageNotFoundError:
        return "missing"


KIND = "nupunkt-"
NAME = f"{KIND}{_punkt_version()}/1"
"""The splitter's name, part of an encoding: that of an encoding of this name was the installed version of nupunkt."""

MAX_CHARS = 10_000
"""The most characters passed to Punkt at once. A longer sentence is cut at whitespace, between two words."""

_NEWLINE = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_BLANK = rf"[^\S{_NEWLINE}]*+"
_CRLF = r"(?:(?<=\r)\n|(?!(?<=\r)\n))"
_LIST_MARKER = r"(?:[-*•‣◦▪·]|\(?\d{1,3}[.)]|\(?[A-Za-z]\))[ \t]"
# No possessive group: CPython before 3.11.5 matches those wrongly, and finds the same empty match for ever.
_BLOCK_BREAK = re.compile(
    rf"[{_NEWLINE}]{_CRLF}(?:(?:{_BLANK}[{_NEWLINE}]{_CRLF})+|(?<=\u2029)|(?={_BLANK}{_LIST_MARKER}))"
)
_FOREIGN_STOP = re.compile(r"[。｡！？।॥؟۔][。｡！？।॥؟۔」』】》〉）”’»\"')\]]*+")
_SPACE = re.compile("[^\\S ]")
_LONG_RUN = re.compile(r"(?<![^ ])([^ ]{100})([^ ]+)(?=[^ ]{100}(?: |$))")


def split(text: str) -> list[Sentence]:
    """Return all `sentences` of a text as a list."""
    return list(sentences(text))


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of `text`: in order, disjoint, never blank, no whitespace at either end.

    Every character that is not whitespace is in exactly one of them. Time is linear in any text.
    """
    foreign = (match.end() for match in _FOREIGN_STOP.finditer(text))
    start = 0
    for cut in merge(foreign, _cuts(text), (len(text),)):
        # Two rules may cut at one position, and there may be only whitespace between cuts.
        if start < cut and (sentence := _strip(text, start, cut)).start < sentence.stop:
            yield sentence
        start = cut


def _cuts(text: str) -> Iterator[int]:
    """Yield the positions where a sentence begins by layout or Punkt, in order, some more than once."""
    begin = 0
    for match in _BLOCK_BREAK.finditer(text):
        yield from (begin + cut for cut in _punkt_cuts(text[begin : match.start()]))
        begin = match.end()
    yield from (begin + cut for cut in _punkt_cuts(text[begin:]))


def _punkt_cuts(block: str) -> Iterator[int]:
    """Yield the positions in a block where sentences begin, 0 included."""
    # Punkt takes a newline for the end of a paragraph, which is wrong for hard-wrapped lines: each becomes one space,
    # so that positions stay.
    flat = _SPACE.sub(" ", block)
    begin, end = 0, len(flat)
    while begin < end:
        stop = end if end - begin <= MAX_CHARS else _word_break(flat, begin, end)
        starts = _sentence_starts(flat[begin:stop])
        if stop < end and len(starts) > 1:
            # The last sentence may continue after this part: it begins the next one.
            stop = begin + starts.pop()
        yield from (begin + start for start in starts)
        begin = stop


def _word_break(flat: str, begin: int, end: int) -> int:
    """Return the last space within `MAX_CHARS` of `begin`, or the end of a longer word."""
    last = flat.rfind(" ", begin + 1, begin + MAX_CHARS)
    if last < 0:
        last = flat.find(" ", begin + MAX_CHARS, end)
    return end if last < 0 else last


def _sentence_starts(part: str) -> list[int]:
    """Return the positions where Punkt begins a sentence in `part`, which has no whitespace but spaces. First is 0."""
    from nupunkt import sent_spans

    # Punkt's time is quadratic in a run of punctuation without a space (100,000 characters of `.)` take 13 s). There is
    # no sentence boundary to find within a run this long: its middle is replaced with letters.
    replaced = _LONG_RUN.sub(lambda run: run[1] + "x" * len(run[2]), part)
    return sorted({0, *(start for start, _ in sent_spans(replaced))})


def _strip(text: str, start: int, stop: int) -> Sentence:
    raw = text[start:stop]
    start += len(raw) - len(raw.lstrip())
    return Sentence(start, start + len(raw.strip()))
