"""Text normalization, before any offsets are taken. Knows nothing of files or formats.

NUL and lone surrogates become U+FFFD, because neither survives Parquet, SQL and UTF-8; then Unicode NFC. Newlines are
kept. Idempotent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

EXCERPT_CHARS = 80
"""The most characters of an excerpt."""
_REPLACEMENT = "\ufffd"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_RUN = 256
"""Combining marks in a row from which a run is sorted here; natural text has at most 30 (UAX #15, Stream-Safe)."""
_STRIDE = 32
_MARKS_END = 0x20000
"""Planes 2 and up have no combining marks, and searching them takes 0.3 s."""


def normalise(text: str) -> str:
    """Return `text` as it is stored: without NUL and lone surrogates, in NFC."""
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
    # Nothing composes or reorders across a newline, so that one unusual line does not slow a whole book down.
    return "\n".join([line if line.isascii() else _compose(line) for line in text.split("\n")])


def is_blank(text: str) -> bool:
    """Return whether `text` has nothing visible: only whitespace, control and format characters, and U+FFFD."""
    return text.isspace() or not any(c.isprintable() and not c.isspace() and c != _REPLACEMENT for c in text)


def excerpt(value: str | bytes, limit: int = EXCERPT_CHARS) -> str:
    """Return the beginning of `value` as one printable line of at most `limit` characters."""
    head = value[: 4 * limit].decode(errors="replace") if isinstance(value, bytes) else value[: 4 * limit]
    visible = "".join(c if c.isprintable() else " " for c in normalise(head).strip())
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def _compose(line: str) -> str:
    if _may_have_long_run(line):
        # CPython sorts a run of marks by insertion: 160,000 unsorted marks take 30 s, sorted ones almost none.
        line = _long_runs().sub(lambda run: _sorted_marks(run[0]), line)
    return unicodedata.normalize("NFC", line)


def _may_have_long_run(text: str) -> bool:
    """Return whether `text` may have a long run, by every 32nd character only: the pattern itself reads 1.5 MB/s."""
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
    """Return all characters that decompose into combining marks only."""
    return frozenset(c for c in map(chr, range(0x300, _MARKS_END)) if _is_mark(c))


def _is_mark(character: str) -> bool:
    if unicodedata.combining(character):
        return True
    # A few vowel signs (such as U+0F73) are starters that decompose into two marks.
    decomposed = unicodedata.decomposition(character)
    return bool(decomposed) and decomposed[0] != "<" and unicodedata.combining(chr(int(decomposed.split()[0], 16))) != 0
