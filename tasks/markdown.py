"""Text of others inside Markdown: ids, titles, names and errors are shown as they are, and mark up nothing.

For CommonMark with GitHub's tables and links, as Prefect's page and model hubs render it. Knows no documents.
"""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*_\[\]<>&|~!#$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What begins emphasis, code, links, images, HTML, entities, cells, headings, formulas and bare addresses."""
_LIST = re.compile(r"^(?:[-+=]|\d{1,9}(?=[.)]))")
"""What would begin a list or underline a heading at the beginning of a line."""


def literal(text: str, *, longest: int | None = None) -> str:
    """Return `text` on one line that Markdown renders as it is, in a table too, cut to `longest` characters."""
    line = _on_one_line(text)
    if longest is not None and len(line) > longest:
        line = line[: longest - 1] + "…"
    escaped = _MARKS.sub(lambda found: f"\\{found[0]}", line)
    return _LIST.sub(_escaped_list, escaped)


def code(text: str) -> str:
    """Return `text` as a code span, outside of a table."""
    line = _on_one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    padding = " " if not line or "`" in (line[0], line[-1]) else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def _on_one_line(text: str) -> str:
    """Return `text` without line breaks and what turns its direction or is not shown; runs of spaces become one."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _escaped_list(found: re.Match[str]) -> str:
    # A digit cannot be escaped, but what follows it: the lookahead has found a dot or a bracket there.
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"
