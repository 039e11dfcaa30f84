"""DOCX: paragraphs and tables as they stand, footnotes and endnotes below; deleted text and running headers are not.

A document of Word has no pages: they are made when it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyseme.tasks.reading.parsing.office_parts import core_properties, main_part, opened, relations
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, Text
from polyseme.tasks.reading.parsing.xml_events import read_xml

_SKIPPED = frozenset({"del", "moveFrom", "Fallback", "instrText", "rt", "pPr", "rPr", "sectPr", "tblPr", "delText"})
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011", "ptab": "\t"}
_NOTES = ("footnotes", "endnotes")


def parse_docx(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a document."""
    parts = opened(data)
    main = main_part(parts, "word/document.xml")
    text = Text(request.most_bytes)
    _read(parts.chunks(main), text)
    for kind, part in relations(parts, main).values():
        if kind in _NOTES and part in parts:
            _read(parts.chunks(part), text)
    title, metadata = core_properties(parts)
    if found := text.joined():
        yield Parsed(found, title, metadata)


class _Reader:
    """The state while a part is read: the paragraphs that are open, one inside another in text boxes, and the row."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._skipping = 0
        self._in_text = False
        self._paragraphs: list[list[str]] = []
        self._rows: list[list[list[str]]] = []

    def start(self, name: str, _: Mapping[str, str]) -> None:
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
        elif name == "p":
            self._paragraphs.append([])
        elif name == "t":
            self._in_text = True
        elif name == "tr":
            self._rows.append([])
        elif name == "tc" and self._rows:
            self._rows[-1].append([])
        elif name in _BREAKS and self._paragraphs:
            self._paragraphs[-1].append(_BREAKS[name])

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p" and self._paragraphs:
            self._add("".join(self._paragraphs.pop()))
        elif name == "tr" and self._rows:
            row = self._rows.pop()
            self._add("\t".join("\n".join(cell) for cell in row))

    def text(self, value: str) -> None:
        if self._in_text and not self._skipping and self._paragraphs:
            self._paragraphs[-1].append(value)

    def _add(self, paragraph: str) -> None:
        """Add a paragraph to the cell it is in, or to the text."""
        if self._rows and self._rows[-1]:
            self._rows[-1][-1].append(paragraph)
        else:
            self._text.add(paragraph)


def _read(chunks: Iterator[bytes], text: Text) -> None:
    reader = _Reader(text)
    read_xml(chunks, start=reader.start, end=reader.end, text=reader.text)
