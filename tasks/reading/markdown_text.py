"""A Markdown text: its first heading. Knows fences of code, in which nothing is a heading."""

from __future__ import annotations

import re

from polyseme.tasks.reading.documents import clean_title

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def first_heading(text: str) -> str | None:
    """Return the first `# heading` of a Markdown text that is not in a block of code; None if there is none."""
    fence = ""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        found = _FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found:
            fence = found[1]
        elif (heading := _HEADING.match(line)) and (title := clean_title(_unclosed(line[heading.end() :]))):
            return title
        if end < 0:
            break
        start = end + 1
    return None


def _unclosed(heading: str) -> str:
    """Return a heading without the `#` that may close it. A pattern for both ends is quadratic in spaces."""
    heading = heading.strip(" \t\r")
    opened = heading.rstrip("#")
    return opened if not opened or opened.endswith((" ", "\t")) else heading
