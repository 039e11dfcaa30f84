"""Where the reader of LaTeX is: what is open, whether in mathematics, and how text reads there. Knows no command."""

from __future__ import annotations

import re
from collections import Counter

from polyseme.tasks.reading.parsing.latex import commands as known
from polyseme.tasks.reading.parsing.latex.inline import typeset
from polyseme.tasks.reading.parsing.latex.page import Page
from polyseme.tasks.reading.parsing.latex.source import Source

_BLANK = re.compile(r"\n[ \t]*\n\s*")
_GERMAN = re.compile(
    r"\\usepackage\s*(?:\[[^\]]*german[^\]]*\]\s*\{babel\}|\{n?german\})|\\documentclass\[[^\]]*german"
)
_MATH = re.compile(r"((?:[^$\\\n]++|\\.|\n(?![ \t]*\n))*+)\$", re.DOTALL)
_MATH_ALONE = re.compile(r"\$((?:[^$\\\n]++|\\.|\n(?![ \t]*\n)|\$(?!\$))++)\$\$", re.DOTALL)
_INDEX = re.compile(r"([^\s{}\\])\}")


class Place:
    """A place in a source, and the page that was made so far."""

    def __init__(self, source: str, most_bytes: int) -> None:
        self.source = Source(source)
        self.page = Page(most_bytes)
        self._german = _GERMAN.search(source, 0, 1 << 16) is not None
        self.math = False
        self.alone = False  # mathematics on lines of its own
        self.open: list[str] = []  # braces, and environments by their names
        self.open_names: Counter[str] = Counter()

    def text(self, text: str) -> None:
        """Add text."""
        first, *others = _BLANK.split(text) if "\n" in text else (text,)
        self.page.add(first if self.math else typeset(first, german=self._german))
        for other in others:
            self.paragraph()
            self.page.add(typeset(other, german=self._german))

    def paragraph(self) -> None:
        """End a paragraph, and mathematics, which never goes beyond one: something was not closed."""
        self.math = self.alone = False
        self.page.paragraph()

    def brace(self) -> None:
        """Read what an opening brace begins."""
        if not (self.math and self.page.last() in ("_", "^")):
            self.open.append("{")
        elif (one := self.source.skip(_INDEX)) is not None:
            self.source.put(one[1])
        else:
            self.page.add("{")
            self.open.append("{index")

    def dollar(self) -> None:
        """Read mathematics in a line, or on lines of its own; a dollar without another is one."""
        if self.math:
            return
        alone = self.source.skip(_MATH_ALONE)
        if (found := alone or self.source.skip(_MATH)) is None:
            self.page.add("$")
            return
        if alone is not None:
            self.page.line()
        self.math, self.alone = True, alone is not None
        self.source.put(found[1], self.end_math)

    def begin_math(self) -> None:
        """Begin mathematics on lines of its own."""
        self.page.line()
        self.math = self.alone = True

    def begin_inline(self) -> None:
        """Begin mathematics in a line."""
        self.math, self.alone = True, False

    def end_math(self) -> None:
        """End mathematics."""
        if self.alone:
            self.page.line()
        self.math = self.alone = False

    def in_table(self) -> bool:
        """Return whether a table is open."""
        return any(self.open_names[name] for name in known.TABLES)
