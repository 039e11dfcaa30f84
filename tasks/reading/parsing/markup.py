"""XML of texts: TEI and anything else that has its text in elements.

Elements that usually stand in a paragraph, as `hi`, are part of it; any other is a paragraph of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, Text, stated
from polyseme.tasks.reading.parsing.xml_events import fields_of, read_xml

_HEADERS = frozenset({"teiHeader"})
_TEI = {"title": "title", "author": "author", "date": "date", "language": "language"}
_INLINE = frozenset({
    *("hi", "name", "persName", "placeName", "orgName", "rs", "ref", "foreign", "emph", "term", "w", "pc", "c", "seg"),
    *("date", "num", "abbr", "expan", "choice", "corr", "reg", "b", "i", "em", "strong", "code", "a", "xref", "italic"),
    *("bold", "sup", "sub", "span", "said", "q", "mentioned", "lb"),
})  # fmt: skip
"""Elements of TEI, JATS, DocBook and XHTML that stand in a paragraph."""


def parse_xml(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text in the elements of a file; of TEI what its header states is the title and metadata."""
    reader = _Reader(Text(request.most_bytes))
    read_xml([data], start=reader.start, end=reader.end, text=reader.add)
    reader.flush()
    if text := reader.text.joined():
        found = fields_of([data], _TEI, within="teiHeader") if reader.has_header else {}
        title = found.pop("title", None)
        yield Parsed(text, title, stated(**found))


class _Reader:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.has_header = False
        self._skipping = 0
        self._pieces: list[str] = []

    def start(self, name: str, _: Mapping[str, str]) -> None:
        self.has_header = self.has_header or name == "teiHeader"
        if self._skipping or name in _HEADERS:
            self._skipping += 1
        elif name == "lb":
            self._pieces.append("\n")
        elif name not in _INLINE:
            self.flush()

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name not in _INLINE:
            self.flush()

    def add(self, value: str) -> None:
        if not self._skipping:
            self._pieces.append(value)

    def flush(self) -> None:
        """End a paragraph."""
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        self.text.add("\n".join(line for line in lines if line))
        self._pieces.clear()
