"""LaTeX: the text that a reader of the typeset document sees, in the order of the source, without its numbers.

Files that it names are not read. Macros are followed as far as `\\newcommand` and `\\def` go. Of a command that is not
known what stands in its braces is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.reading.parsing.html import decoded
from polyseme.tasks.reading.parsing.latex import commands as known
from polyseme.tasks.reading.parsing.latex import inline
from polyseme.tasks.reading.parsing.latex.inline import STAR, drop
from polyseme.tasks.reading.parsing.latex.macros import Macros
from polyseme.tasks.reading.parsing.latex.page import MARKS, Page
from polyseme.tasks.reading.parsing.latex.place import Place
from polyseme.tasks.reading.parsing.latex.source import Source
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, stated

_ENVIRONMENT = re.compile(r"\s*\{([^{}\n\\]{1,80})\}")
_ROW_SPACE = re.compile(r"\*?(?:[ \t]*\[\s*-?(?:[\d.]+\s*[a-z]{2}|\\[a-z]+)\s*\])?")
_SLIDES = re.compile(r"<[\d\s,|+.@:a-z-]*>")
_NO_DELIMITER = re.compile(r"\s*\.")
_DELIMITED = re.compile(r"\((?:lr|l|r)\)\s*(?:\{[^{}\n]*\})")
_AUTHORS = re.compile(r"\\(?:and|And|AND)(?![A-Za-z])")


def parse_latex(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a document, or of a part of one, with the title and the authors that it states."""
    source = decoded(data).replace("\r\n", "\n").replace("\r", "\n").translate(MARKS)
    reader = _Reader(source, request.most_bytes)
    reader.read()
    if text := reader.page.text.joined():
        fields = {name: normalise("; ".join(found)) for name, found in reader.fields.items()}
        title = fields.pop("title", None)
        yield Parsed(text, title, stated(**fields))


class _Reader(Place):
    def __init__(self, source: str, most_bytes: int) -> None:
        super().__init__(source, most_bytes)
        self.macros = Macros(self.source)
        self.fields: dict[str, list[str]] = {}
        self.thanks: list[str] = []
        self.ended = False

    def read(self) -> None:
        """Read all of it."""
        while not self.ended and (token := self.source.token()) is not None:
            kind, value = token
            if kind == 1:
                self.text(value)
            elif kind == 2:
                self._command(value)
            elif kind == 3:
                self._special(value)
            elif value.endswith("\n") and self.source.peek() == "\n":
                self.paragraph()
        self.paragraph()
        self.page.paragraph()

    def _special(self, value: str) -> None:
        if value == "~":
            self.page.add(" ")
        elif value == "&":
            if self.math:
                self.page.add(" ")
            elif self.in_table():
                self.page.cell()
            else:
                self.page.add("&")
        elif value == "$":
            self.dollar()
        elif value == "{":
            self.brace()
        elif self.open and self.open[-1][0] == "{":
            was = self.open.pop()
            if was == "{index":
                self.page.add("}")
            elif was == "{of" and self.source.peek() == "{":
                self.page.add(" ")  # two arguments are two words
                self._of_unknown()

    def _command(self, name: str) -> None:
        if name not in known.STRUCTURE and self.macros.expand(name):
            return
        if (mark := known.ACCENTS.get(name)) and (letter := inline.accented(self.source, mark)) is not None:
            self.page.add(letter)
        elif (letter := known.LETTERS.get(name)) is not None:
            self.source.skip()
            self.page.add(letter)
        elif (symbol := known.SYMBOLS.get(name)) is not None:
            self.page.add(symbol)
        elif (do := _DO.get(name)) is not None:
            do(self)
        elif (write := _IN_LINE.get(name)) is not None:
            write(self.source, self.page)
        elif (count := known.DROPPED.get(name)) is not None:
            drop(self.source, count)
            self.source.skip(_DELIMITED)
            self.source.measure()
        elif name in known.REFERENCES or "cite" in name.lower():
            drop(self.source, 1)
            self.page.gone()
        elif name in known.DEFINITIONS:
            self.macros.define(name)
        else:
            self._unknown(name)

    def _unknown(self, name: str) -> None:
        if name in known.SILENT:
            if name in ("left", "right"):
                self.source.skip(_NO_DELIMITER)
            elif name.isalpha() and not self.math:
                self.source.skip()
            return
        self.source.skip(STAR)
        self.source.setting()
        if self.source.peek() == "{":
            self._of_unknown()
        elif self.math:
            self.page.add(name)  # as operators are shown: sin
        else:
            self.source.skip()

    def _of_unknown(self) -> None:
        self.source.token()
        self.open.append("{of")

    def _heading(self) -> None:
        self.page.paragraph()
        self.source.skip(STAR)
        self.source.option()
        if (title := self.source.braced()) is not None:
            self.source.put(title, self.paragraph)

    def _note(self) -> None:
        self.source.option()
        if (note := self.source.braced()) is not None:
            math, self.math = self.math, False
            self.page.begin_aside()

            def end() -> None:
                self.page.note()
                self.math = math

            self.source.put(note, end)

    def _field(self, name: str) -> None:
        self.source.option()
        if (value := self.source.braced()) is None:
            return
        self.page.begin_aside()

        def end() -> None:
            found = self.page.end_aside()
            lines = (line.strip(" ;,") for line in found.split("\n"))
            if said := re.sub(r"[\s,]*;[\s,;]*", "; ", ", ".join(line for line in lines if line)):
                self.fields.setdefault(name, []).append(said)
            self.thanks += self.page.notes
            self.page.notes.clear()

        self.source.put(_AUTHORS.sub(" ; ", value) if name == "author" else value, end)

    def _title(self) -> None:
        self.page.paragraph()
        if title := self.fields.get("title"):
            self.page.add(title[-1])
        self.page.notes += self.thanks
        self.thanks.clear()
        self.page.paragraph()

    def _line(self) -> None:
        self.source.skip(_ROW_SPACE)
        if self.open and self.open[-1] in known.MATRICES:
            self.page.add("; ")
        elif (self.math and not self.alone) or (self.in_table() and self.open[-1][0] == "{"):
            self.page.add(" ")
        else:
            self.page.line()

    def _item(self) -> None:
        self.page.paragraph()
        self.source.skip(_SLIDES)
        if (label := self.source.option()) is not None:
            self.source.put(label + " ")

    def _entry(self) -> None:
        self.page.paragraph()
        drop(self.source, 1)

    def _begin(self) -> None:
        found = self.source.skip(_ENVIRONMENT)
        if found is None:
            return
        name = found[1].strip()
        bare = name.rstrip("*")
        if name in known.VERBATIM or name in known.LEFT_OUT:
            self._as_it_is(name)
            return
        if name == "document":
            self._document()
            return
        self.open.append(name)
        self.open_names[name] += 1
        if bare in known.DISPLAYS or (bare in known.MATRICES and self.math):
            drop(self.source, known.DISPLAYS.get(bare, known.MATRICES.get(bare, 0)))
            if bare in known.DISPLAYS:
                self.page.line()
                self.math = self.alone = True
            return
        self.paragraph()
        if (count := known.TABLES.get(name, known.ENVIRONMENTS.get(name))) is not None:
            drop(self.source, count)
        elif name in known.TITLED:
            self._heading()
        else:
            self.source.setting()
            if (label := self.source.option()) is not None:
                self.source.put(f"({label}) ")

    def _end(self) -> None:
        found = self.source.skip(_ENVIRONMENT)
        name = found[1].strip() if found is not None else ""
        if name == "document":
            self.ended = True
        if not self.open_names[name]:
            return
        while (last := self.open.pop()) != name:
            self.open_names[last] -= 1
        self.open_names[name] -= 1
        if name.rstrip("*") in known.DISPLAYS:
            self.end_math()
        elif name not in known.MATRICES or not self.math:
            self.paragraph()

    def _as_it_is(self, name: str) -> None:
        if name in known.VERBATIM:
            self.source.option()
            drop(self.source, known.VERBATIM[name])
        code = self.source.up_to(f"\\end{{{name}}}")
        if name in known.VERBATIM:
            self.math = self.alone = False
            self.page.block(code)

    def _document(self) -> None:
        """Begin the text: what was before it is its head."""
        self.page.restart()
        self.open.clear()
        self.open_names.clear()
        self.math = self.alone = False

    def _stop(self) -> None:
        self.ended = True


_DO: dict[str, Callable[[_Reader], None]] = {
    **dict.fromkeys(known.HEADINGS, _Reader._heading),
    **dict.fromkeys(known.NOTES, _Reader._note),
    **{name: partial(_Reader._field, name=field) for name, field in known.FIELDS.items()},
    **dict.fromkeys(known.PARAGRAPHS, _Reader.paragraph),
    **dict.fromkeys(known.ITEMS, _Reader._item),
    **dict.fromkeys(known.LINES, _Reader._line),
    **dict.fromkeys(("endinput", "bye"), _Reader._stop),
    **dict.fromkeys(("]", ")"), _Reader.end_math),
    "begin": _Reader._begin, "end": _Reader._end, "maketitle": _Reader._title, "bibitem": _Reader._entry,
    "[": _Reader.begin_math, "(": _Reader.begin_inline,
}  # fmt: skip
_IN_LINE: dict[str, Callable[[Source, Page], None]] = {
    **dict.fromkeys(("frac", "dfrac", "tfrac", "nicefrac", "sfrac"), inline.fraction),
    **dict.fromkeys(("verb", "lstinline"), inline.verb),
    **dict.fromkeys(("url", "path", "nolinkurl"), inline.address),
    **dict.fromkeys(("SI", "qty"), partial(inline.unit, values=1)),
    **dict.fromkeys(("si", "unit"), partial(inline.unit, values=0)),
    "href": inline.link, "sqrt": inline.root, "texorpdfstring": inline.either, "iffalse": inline.skip_false,
    "ifx": inline.skip_compared,
}  # fmt: skip
