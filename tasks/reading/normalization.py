"""The one form every text takes before anything reads offsets into it. Knows nothing of files or formats.

NUL and lone surrogates become U+FFFD, because neither survives Parquet, SQL and UTF-8 alike; then Unicode NFC.
Newlines stay as they are. The form is idempotent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

EXCERPT_CHARS = 80
_REPLACEMENT = "\ufffd"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_RUN = 256
"""No natural text has more than 30 combining marks in a row (UAX #15, Stream-Safe Text Format)."""
_STRIDE = 32
_MARKS_END = 0x20000
"""Planes 2 and up have none, and looking there takes 0.3 s."""


def normalise(text: str) -> str:
    """Return `text` in the stored form: no NUL, no lone surrogate, NFC."""
    if "\0" in text:
        text = text.replace("\0", _REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _LONE_SURROGATE.sub(_REPLACEMENT, text)
    if not _may_have_long_run(text) and unicodedata.is_normalized("NFC", text):
        return text
    # Nothing composes or reorders across a newline, so one odd line does not slow a whole book down.
    return "\n".join([line if line.isascii() else _compose(line) for line in text.split("\n")])


def is_blank(text: str) -> bool:
    """True where nothing would be seen on paper: whitespace, controls, format characters, replacements."""
    return text.isspace() or not any(c.isprintable() and not c.isspace() and c != _REPLACEMENT for c in text)


def excerpt(value: str | bytes, limit: int = EXCERPT_CHARS) -> str:
    """Return the head of `value` as one line that any terminal, database or log can take."""
    head = value[: 4 * limit].decode(errors="replace") if isinstance(value, bytes) else value[: 4 * limit]
    visible = "".join(c if c.isprintable() else " " for c in normalise(head).strip())
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def _compose(line: str) -> str:
    if _may_have_long_run(line):
        # CPython sorts a run of marks by insertion: 160,000 unsorted marks take 30 s, sorted ones no time.
        line = _long_runs().sub(lambda run: _sorted_marks(run[0]), line)
    return unicodedata.normalize("NFC", line)


def _may_have_long_run(text: str) -> bool:
    """Look at every 32nd character only: the expression alone reads 1.5 MB/s."""
    sample = text[::_STRIDE]
    if len(text) < _LONG_RUN or _marks().isdisjoint(sample):
        return False
    return "m" * (_LONG_RUN // _STRIDE) in "".join(["m" if c in _marks() else "." for c in sample])


def _sorted_marks(run: str) -> str:
    marks = "".join([unicodedata.normalize("NFD", mark) for mark in run])
    return "".join(sorted(marks, key=unicodedata.combining))


@lru_cache(maxsize=1)
def _long_runs() -> re.Pattern[str]:
    return re.compile(f"[{''.join(sorted(_marks()))}]{{{_LONG_RUN},}}")


@lru_cache(maxsize=1)
def _marks() -> frozenset[str]:
    """Every character that decomposes into combining marks alone."""
    return frozenset(c for c in map(chr, range(0x300, _MARKS_END)) if _is_mark(c))


def _is_mark(character: str) -> bool:
    if unicodedata.combining(character):
        return True
    # A few vowel signs (U+0F73 and its kin) are starters that decompose into two marks.
    decomposed = unicodedata.decomposition(character)
    return bool(decomposed) and decomposed[0] != "<" and unicodedata.combining(chr(int(decomposed.split()[0], 16))) != 0
