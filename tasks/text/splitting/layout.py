"""Layout: where a sentence ends because of the lines of a text, whatever they say.

A blank line, a list item, a heading, a table row, a rule or a code fence of Markdown, the name of a speaker in a play.
Everything else that is broken into lines is running text. Knows no language. Time is linear in any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from polyseme.tasks.text.splitting.markers import Marker, is_believed, marker_of

_NEWLINE = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LINE = re.compile(rf"[^{_NEWLINE}]*+(?:\r\n|[{_NEWLINE}])|[^{_NEWLINE}]++")
_HEADING = re.compile(r"#{1,6}[ \t]")
_UNDERLINE = re.compile(r"=+\s*|-{2,}\s*")
_RULE = re.compile(r"(?:-[ \t]*){3,}\s*|(?:_[ \t]*){3,}\s*|(?:\*[ \t]*){3,}\s*|={3,}\s*")
_FENCE = re.compile(r"(?:^|(?<=\n))[ ]{0,3}(`{3,}|~{3,})([^\n]*)")
_LONGEST_HEADING = 60
_NO_TITLE_ENDS_IN = tuple(".!?:;,…")
_CLOSING = "'\"”’)]*_ \t\r\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A range of characters with whole sentences. A `whole` one is a sentence; else sentences begin from `text_start`:
    no stop before it is the end of one, because it belongs to a list marker or to the name of a speaker."""

    start: int
    stop: int
    whole: bool = False
    text_start: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    stop: int
    words: str
    in_fence: bool = False

    @property
    def is_rule(self) -> bool:
        return self.words[:1] in "-_*=" and bool(_RULE.fullmatch(self.words))

    @property
    def is_whole(self) -> bool:
        return self.in_fence or self.is_row or self.is_rule

    @property
    def is_row(self) -> bool:
        words = self.words.rstrip()
        return len(words) > 1 and words[0] == words[-1] == "|"

    @property
    def is_heading(self) -> bool:
        return bool(_HEADING.match(self.words))


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in order. Only whitespace is outside of them."""
    start, text_start, stop, whole = 0, 0, 0, False
    before, earlier = _Line(0, 0, ""), None
    for line, following in pairwise(chain(_lines(text), (_Line(len(text), len(text), ""),))):
        marker = _marker(line, before, following, earlier if line.words.strip() else None)
        earlier = (marker or earlier) if line.words.strip() else None
        opening = _opening(line, marker)
        capitals = _is_in_capitals(line, before, following)
        titled = capitals or _is_title(line, following)
        underlines = stop > start and _is_title(before, line)
        if stop > start and (
            whole or titled or opening or not line.words.strip() or (line.is_whole and not underlines)
        ):
            yield Block(start, stop, whole, text_start)
            start = stop = line.start
        if not line.words.strip():
            start = stop = line.stop
        else:
            if stop == start:
                start, text_start = line.start, line.start + opening
            stop = line.stop
            whole = not underlines and line.is_whole
            if underlines or line.is_heading or capitals or text[line.stop - 1] == "\u2029":
                yield Block(start, stop, whole, text_start)
                start, whole = stop, False
        before = line
    if stop > start:
        yield Block(start, stop, whole, text_start)


def _lines(text: str) -> Iterator[_Line]:
    fenced = iter(_fenced(text))
    first, last = next(fenced, (len(text), 0))
    for found in _LINE.finditer(text):
        start, stop = found.span()
        if start > last:
            first, last = next(fenced, (len(text), len(text))) if last else (first, last)
        yield _Line(start, stop, found[0].lstrip(" \t"), first <= start <= last)


def _fenced(text: str) -> list[tuple[int, int]]:
    """Return the first and the last line of each code fence that is closed, by where they begin."""
    if "```" not in text and "~~~" not in text:
        return []
    found, opened = list[tuple[int, int]](), None
    for line in _FENCE.finditer(text):
        if opened is None:
            opened = line
        elif line[1].startswith(opened[1]) and not line[2].strip():
            found.append((opened.start(), line.start()))
            opened = None
    return found


def _marker(line: _Line, before: _Line, following: _Line, earlier: Marker | None) -> Marker | None:
    """Return the marker or speaker that opens a block, None if a line has none or running text was broken there."""
    marker = None if line.in_fence else marker_of(line.words)
    if marker is None or before.is_whole or before.is_heading:
        return marker
    believed = is_believed(marker, before=before.words, earlier=earlier, following=following.words)
    return marker if believed else None


def _opening(line: _Line, marker: Marker | None) -> int:
    """Return the length of what opens a line that begins a block: marker or name of a speaker. 0 if it opens none."""
    if line.in_fence:
        return 1
    heading = _HEADING.match(line.words)
    length = marker.length if marker else heading.end() if heading else 0
    return length and line.stop - line.start - len(line.words) + length


def _is_in_capitals(line: _Line, before: _Line, following: _Line) -> bool:
    """Return whether a line is a heading because it alone is in capitals, behind a line that ended a sentence."""
    words = line.words.strip()
    if line.in_fence or len(words) > _LONGEST_HEADING or not words.isupper() or not words[-1].isalnum():
        return False
    last, first = before.words.rstrip(_CLOSING)[-1:], following.words[:1]
    letters = sum(map(str.isalpha, words))
    return letters > 3 and last in ("", *".!?:…") and first.isupper() and not following.words.isupper()


def _is_title(line: _Line, following: _Line) -> bool:
    """Return whether a line is a heading because the next underlines it."""
    if not following.words[:1] or following.words[0] not in "=-" or not _UNDERLINE.fullmatch(following.words):
        return False
    words = line.words.rstrip(_CLOSING)
    return bool(words) and not line.is_whole and not words.endswith(_NO_TITLE_ENDS_IN)
