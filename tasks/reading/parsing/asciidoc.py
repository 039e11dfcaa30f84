"""AsciiDoc: its text without the marks of its blocks, comments and attributes. Files that it includes are not read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polyseme.tasks.reading.parsing.asciidoc_inline import shown
from polyseme.tasks.reading.parsing.html import decoded
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, Text, stated

_ATTRIBUTE = re.compile(r":(!?[\w][\w-]*!?):(?:[ \t]+(.*))?$")
_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?$")
_UNDERLINE = re.compile(r"(?:=+|-+|~+|\^+|\++)$")
_DELIMITER = re.compile(r"(-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|```[\w+-]*|[|,:!]={3,})$")
_AS_THEY_ARE = ("----", "....", "++++", "```")
_ATTRIBUTES = re.compile(r"\[(?:\[.*\]|[^\s\[\]].*|)\]$")
_QUOTE = re.compile(r"\[(?:quote|verse)\s*,\s*(.+)\]$")
_MACRO = re.compile(r"(include|image|video|audio|toc|ifdef|ifndef|ifeval|endif)::([^\s\[]*)\[(.*)\]$")
_TITLE = re.compile(r"\.([^\s.].*)$")
_ITEM = re.compile(
    r"[ \t]*(?:\*{1,6}|-|\.{1,6}|\d{1,2}\.|[a-zA-Z]\.|<(?:\d{1,3}|\.)>)[ \t]+(?:\[[ xX*]\][ \t]+)?(?=\S)"
)
_TERM = re.compile(r"[ \t]*(\S.{0,500}?)(?::{2,4}|;;)(?:[ \t]+(.*))?$")
_CELL = re.compile(r"(?:(?<=\s)|^)(?:\d+(?:\.\d+)?[+*])?[<^>.]{0,3}[adehlmsv]?\|")
_REVISION = re.compile(r"v?\d[\w.-]*(?:,\s*(?P<date>[^:]+))?(?::.*)?$|(?P<only>[^,:]*\d{4}[^,:]*)(?::.*)?$")
_AUTHORS = re.compile(r"(?:(?:^|; *)[^\W\d_][\w.'’-]*(?: +[\w.'’-]+){0,3}(?: +<[^<>]*>)?)+$")
_AUTHOR = re.compile(r"\s*<[^<>]*>")
_FIELDS = {"author": "author", "authors": "author", "revdate": "date", "date": "date", "keywords": "keywords",
           "description": "description", "lang": "language"}  # fmt: skip
_SPACES = re.compile(" {2,}")
_MOST_VALUE = 10_000


def parse_asciidoc(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a document, with the title and the attributes of its header."""
    lines = [line.rstrip() for line in decoded(data).replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    reader = _Reader(lines, Text(request.most_bytes))
    reader.read()
    if text := reader.text.joined():
        found = {name: reader.attributes.get(name) for name in _FIELDS}
        fields = {_FIELDS[name]: value for name, value in reversed(found.items()) if value}
        yield Parsed(text, reader.title, stated(**fields))


class _Reader:
    def __init__(self, lines: list[str], text: Text) -> None:
        self.lines, self.text = lines, text
        self.title: str | None = None
        self.attributes: dict[str, str] = {}
        self._at = 0
        self._paragraph: list[str] = []
        self._in_list = self._in_table = self._begun = self._is_verse = False

    def read(self) -> None:
        """Read all lines."""
        while self._at < len(self.lines):
            line = self.lines[self._at]
            self._at += 1
            if not line:
                self._flush()
            elif not self._block(line) and not self._mark(line):
                self._words(line)
        self._flush()

    def _block(self, line: str) -> bool:
        """Read a line that delimits a block, with what is in one that is read as it is."""
        if self._underlines():
            self._at += 1
            self._heading(line, is_whole=self.lines[self._at - 1].startswith("="))
            return True
        if not _DELIMITER.match(line):
            return False
        self._flush()
        if line.startswith(_AS_THEY_ARE) or line.startswith("////"):
            end = "```" if line.startswith("```") else line
            start = self._at
            while self._at < len(self.lines) and self.lines[self._at] != end:
                self._at += 1
            if not line.startswith("////"):
                self.text.add("\n".join(self.lines[start : self._at]))
            self._at += 1
        elif line[0] in "|,:!":
            self._in_table = not self._in_table
        return True

    def _mark(self, line: str) -> bool:
        """Read a line that is no text, or a heading."""
        if line.startswith("//") and not line.startswith("///"):
            return True
        if (found := _ATTRIBUTE.match(line)) is not None:
            self._set(found[1], found[2] or "")
        elif (found := _QUOTE.match(line)) is not None:
            self._flush()
            self._is_verse = line.startswith("[verse")
            self.text.add(shown(found[1], self.attributes)[0].replace('"', ""))
        elif (found := _MACRO.match(line)) is not None:
            if found[1] in ("ifdef", "ifndef") and found[3]:
                self._words(found[3])
        elif (found := _HEADING.match(line)) is not None:
            self._heading(found[2], is_whole=found[1] in "=#")
        elif not self._paragraph and (found := _TITLE.match(line)) is not None:
            self.text.add(shown(found[1], self.attributes)[0])
        elif line not in ("+", "'''", "<<<", "---", "***") and not _ATTRIBUTES.match(line):
            return False
        else:
            self._flush()
            self._is_verse = line.startswith("[verse")
        return True

    def _words(self, line: str) -> None:
        if self._in_table:
            self._row(line)
        elif (found := _ITEM.match(line)) is not None:
            self._flush()
            self._in_list = True
            self._paragraph.append(line[found.end() :])
        elif (found := _TERM.match(line)) is not None:
            self._flush()
            self._in_list = True
            self._paragraph.append(found[1])
            self._flush()
            if found[2]:
                self._paragraph.append(found[2])
        else:
            if not self._paragraph and not line[0].isspace():
                self._in_list = False
            self._paragraph.append(line)

    def _row(self, line: str) -> None:
        cells = _CELL.split(line)
        if len(cells) == 1:
            self._paragraph.append(line)
            return
        self._flush()
        before = [cells[0]] if cells[0].strip() else []
        self._paragraph.append("\t".join(cell.strip() for cell in (*before, *cells[1:])))

    def _underlines(self) -> bool:
        """Return whether the next line makes a heading of the one that was read."""
        line = self.lines[self._at - 1]
        below = self.lines[self._at] if self._at < len(self.lines) else ""
        return (
            len(line) > 1 and not self._paragraph and not self._in_table and line[0] not in " \t[.|=" and line != below
            and abs(len(below) - len(line)) <= 2 and _UNDERLINE.match(below) is not None and any(map(str.isalnum, line))
        )  # fmt: skip

    def _heading(self, title: str, *, is_whole: bool) -> None:
        self._flush()
        self._in_list = False
        title = shown(title, self.attributes)[0]
        is_first = self.title is None and not self._begun
        self._begun = True
        self.text.add(title)
        if is_first:
            self.title = title
            if is_whole:
                self._authors()

    def _authors(self) -> None:
        """Read the lines of the author and the revision, which may follow the title."""
        for field in ("author", "revdate"):
            line = self.lines[self._at] if self._at < len(self.lines) else ""
            if field == "author":
                if _AUTHORS.match(line) is None:
                    return
                self.attributes[field] = _AUTHOR.sub("", line).strip()
            elif (found := _REVISION.match(line)) is None:
                return
            else:
                self.attributes[field] = (found["date"] or found["only"] or "").strip()
            self._at += 1

    def _set(self, name: str, value: str) -> None:
        while value.endswith((" \\", " +")) and self._at < len(self.lines):
            value = f"{value[:-2]} {self.lines[self._at].strip()}"
            self._at += 1
        if "!" in name:
            self.attributes.pop(name.strip("!").lower(), None)
        elif "{" not in value:  # no value is made of another: none grows
            self.attributes[name.lower()] = value[:_MOST_VALUE]

    def _flush(self) -> None:
        lines, self._paragraph = self._paragraph, []
        if not lines:
            return
        is_verse, self._is_verse = self._is_verse or self._in_table, False
        self._begun = True
        if lines[0][:1].isspace() and not self._in_list and not self._in_table:
            self.text.add("\n".join(lines))  # set as it is
            return
        joined = ""
        for line in lines:
            ends = line.endswith(" +")
            joined += (line[:-2] if ends else line).strip() + ("\n" if ends or is_verse else " ")
        text, notes = shown(joined, self.attributes)
        self.text.add("\n".join(_SPACES.sub(" ", line).strip(" ") for line in text.split("\n")))
        for note in notes:
            self.text.add(note)
