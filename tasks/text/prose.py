"""The prose of a Markdown text: without code in blocks, tables, comments, and the targets of links and images.

Blocks are those of CommonMark, with GitHub's tables, as markdown-it-py finds them; links are found here, in time linear
in the text, since a parser of inline marks keeps no offsets. Code inside a sentence is a part of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import Any

from polyseme.tasks.text.kept_text import Edit, KeptText

_NAME = re.compile(r"\.md(?:\.(?:gz|zst|bz2|xz))?$", re.IGNORECASE)
_BLOCKS = frozenset({"fence", "code_block", "table_open"})
_BREAK = "\n\n"
"""What is read in place of a block: no sentence goes on over it."""
_MARKS = re.compile(
    r"\\."
    r"|(?P<code>`++)"
    r"|(?P<open>!?\[)"
    r"|(?P<target>\]\((?:[^()\\\n]|\\.|\((?:[^()\\\n]|\\.){0,1000}+\)){0,2000}+\))"
    r"|(?P<reference>\]\[[^\[\]\n]{0,200}+\])"
    r"|(?P<close>\])"
    r"|(?P<blank>\n[ \t]*+\n)"
)


def is_markdown(uri: str) -> bool:
    """Return whether the document at an address is a Markdown file; a record is not, whatever its text."""
    return _NAME.search(uri) is not None


def prose_of(text: str) -> KeptText:
    """Return the prose of a Markdown text."""
    return KeptText.of(text, all_but_prose(text))


def all_but_prose(text: str) -> list[Edit]:
    """Return the edits of a Markdown text that leave its prose, in order."""
    blocks, references = _blocks(text)
    blocks = list(_with_comments(text, blocks))
    links = _links(text, blocks, references)
    return sorted([*(_instead_of_block(text, *block) for block in blocks), *links])


def _blocks(text: str) -> tuple[list[tuple[int, int]], set[str]]:
    """Return the spans of code, tables and definitions of references, in order, and the names that are defined."""
    env: dict[str, Any] = {}
    tokens: list[Any] = []
    parser = _parser()
    parser.block.parse(text, parser, env, tokens)
    defined = env.get("references", {})
    lines = [token.map for token in tokens if token.type in _BLOCKS and token.map]
    lines += [found["map"] for found in (*defined.values(), *env.get("duplicate_refs", ())) if "map" in found]
    begins = _line_begins(text)
    spans, end = [], 0
    for first, stop in sorted(lines):
        start, after = max(begins[first], end), begins[min(stop, len(begins) - 1)]
        if start < after:
            spans.append((start, after))
            end = after
    return spans, set(defined)


def _with_comments(text: str, blocks: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield blocks and the comments between them. A comment that is not closed is text."""
    at, last = 0, text.rfind("-->")
    for start, stop in [*blocks, (len(text), len(text))]:
        while at < start and 0 <= (opened := text.find("<!--", at, start)) <= last - 4:
            closed = text.find("-->", opened + 4)
            yield opened, closed + 3
            at = closed + 3
        if max(start, at) < stop:
            yield max(start, at), stop
        at = max(at, stop)


def _links(text: str, blocks: list[tuple[int, int]], references: set[str]) -> Iterator[Edit]:
    """Yield what is left out of links and images outside of blocks: all but their texts."""
    at = 0
    for start, stop in [*blocks, (len(text), len(text))]:
        yield from sorted(_links_between(text, at, start, references))
        at = stop


def _links_between(text: str, at: int, end: int, references: set[str]) -> Iterator[Edit]:
    opened: list[tuple[int, int]] = []
    ticks = _runs_of_ticks(text, at, end)
    while found := _MARKS.search(text, at, end):
        at = found.end()
        kind = found.lastgroup
        if kind == "code":
            # Nothing inside of code is a link; marks without a second run of the same length are text.
            later = ticks.get(len(found[0]), [])
            following = bisect_right(later, found.start())
            at = later[following] + len(found[0]) if following < len(later) else at
        elif kind == "open":
            opened.append(found.span())
        elif kind == "blank":
            opened.clear()
            at -= 1
        elif kind is not None and opened:
            begins = opened.pop()
            if kind == "target" or (kind == "reference" and _label(text, begins[1], found) in references):
                yield _instead(text, *begins)
                yield _instead(text, *found.span())
            elif kind == "reference":
                at = found.start() + 1


def _label(text: str, begins: int, found: re.Match[str]) -> str:
    from markdown_it.common.utils import normalizeReference

    name = found[0][2:-1] or text[begins : min(found.start(), begins + 1000)]
    return str(normalizeReference(name))


_TICKS = re.compile("`++")


def _runs_of_ticks(text: str, at: int, end: int) -> dict[int, list[int]]:
    """Return the places of runs of backticks by their length."""
    runs: dict[int, list[int]] = {}
    for run in _TICKS.finditer(text, at, end):
        runs.setdefault(len(run[0]), []).append(run.start())
    return runs


def _instead(text: str, start: int, stop: int) -> Edit:
    """Return the edit that leaves a mark out: a space is read instead, unless there is one beside it."""
    apart = start == 0 or text[start - 1].isspace() or stop == len(text) or text[stop].isspace()
    return Edit(start, stop, "" if apart else " ")


def _instead_of_block(text: str, start: int, stop: int) -> Edit:
    is_alone = (start == 0 or text[start - 1] == "\n") and text[stop - 1 : stop + 1].endswith("\n")
    if is_alone or "\n" in text[start:stop]:
        return Edit(start, stop, _BREAK[: stop - start])
    return _instead(text, start, stop)


def _line_begins(text: str) -> list[int]:
    """Return where each line begins, and the end of the text."""
    return [0, *(found.end() for found in re.finditer("\n", text)), len(text)]


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt  # only where a Markdown file is read

    return MarkdownIt("commonmark").enable("table")
