"""The text that LaTeX makes, as it is built: paragraphs, lines, rows of tables, notes. Knows no command."""

from __future__ import annotations

import re

from polyseme.tasks.reading.parsing.parsed import Text

LINE, CELL, _GONE = "\x01", "\x02", "\x03"
"""Stand in a paragraph until it ends: the end of a line and of a cell, and where a number was that LaTeX would find."""
MARKS = dict.fromkeys(map(ord, "\x01\x02\x03"))
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_GONE_LIST = re.compile(f"{_GONE}(?:(?: ?[,;/&–-] ?| and | und | et | y | or )?{_GONE})+")
_GONE_BRACKETS = re.compile(f" ?(?:\\([ ;,.]*{_GONE}[ ;,.]*\\)|\\[[ ;,.]*{_GONE}[ ;,.]*\\])")
_GONE_TWO_STOPS = re.compile(f"(?<=\\.) ?{_GONE} ?\\.(?=[ )]|$)")
_GONE_BEFORE = re.compile(f" ?{_GONE}(?= ?[.,;:!?)\\]])")


class Page:
    """A text that is built from the front. Raises TooLargeError if it gets longer than it may be."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        # Notes of the paragraph: they come behind it.
        self.text = Text(most_bytes)
        self._pieces: list[str] = []
        self._outer: list[list[str]] = []
        self.notes: list[str] = []
        self.add = self._pieces.append

    def restart(self) -> None:
        """Forget all that was added."""
        self.__init__(self._most)  # type: ignore[misc]

    def last(self) -> str:
        """Return the last character that was added."""
        return self._pieces[-1][-1:] if self._pieces else ""

    def line(self) -> None:
        """End a line."""
        self.add(LINE)

    def cell(self) -> None:
        """End a cell of a table."""
        self.add(CELL)

    def gone(self) -> None:
        """Note that a number or a name is not shown here."""
        self.add(_GONE)

    def paragraph(self) -> None:
        """End a paragraph, and add the notes in it behind it; within a note, and the like, end a line."""
        if self._outer:
            self.line()
            return
        if self._pieces:
            self._add(_shown("".join(self._pieces)))
            self._pieces.clear()
        for note in self.notes:
            self._add(note)
        self.notes.clear()

    def block(self, text: str) -> None:
        """Add lines as they are, as a paragraph."""
        self.paragraph()
        if self._outer:
            self.add(LINE.join(text.split("\n")))
        else:
            self.text.add("\n".join(line.rstrip() for line in text.split("\n")))

    def begin_aside(self) -> None:
        """Begin what does not stand here."""
        self._outer.append(self._pieces)
        self._pieces = []
        self.add = self._pieces.append

    def end_aside(self) -> str:
        """Return what was added since."""
        found = _shown("".join(self._pieces))
        self._pieces = self._outer.pop() if self._outer else []
        self.add = self._pieces.append
        return found

    def note(self) -> None:
        """End what does not stand here: it is a note."""
        if found := self.end_aside():
            self.notes.append(found)

    def _add(self, text: str) -> None:
        self.text.add(text)


def _shown(text: str) -> str:
    """Return the lines of a paragraph without the space of its source and what was left out."""
    lines = (_line(line) for line in text.split(LINE))
    return "\n".join(line for line in lines if line.strip())


def _line(source: str) -> str:
    line = _SPACE.sub(" ", source)
    if _GONE in line:
        line = _GONE_LIST.sub(_GONE, _GONE_BRACKETS.sub(_GONE, _GONE_LIST.sub(_GONE, line)))
        line = _GONE_BEFORE.sub("", _GONE_TWO_STOPS.sub("", line))
        line = _SPACE.sub(" ", line.replace(_GONE, ""))
    if CELL in line:
        line = "\t".join(cell.strip() for cell in line.split(CELL))
    return line.strip(" ")
