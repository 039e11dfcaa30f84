"""ODT, ODP, ODS: paragraphs and tables as they stand; deleted text, comments and running headers are not.

Notes come below the paragraph that they belong to. A sheet of ODS is a text of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, Text, TooLargeError, stated
from polyseme.tasks.reading.parsing.xml_events import fields_of, read_xml
from polyseme.tasks.reading.parsing.zip_parts import ZipParts

_SKIPPED = frozenset(
    {"tracked-changes", "annotation", "note-citation", "ruby-text", "forms", "page-number", "settings"}
)
_PARAGRAPHS = frozenset({"p", "h"})
_META = {
    "title": "title", "initial-creator": "author", "creator": "editor", "subject": "subject", "keyword": "keywords",
    "language": "language", "creation-date": "created", "date": "modified", "description": "description",
}  # fmt: skip
_MOST_REPEATED = 64


def parse_odt(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a document."""
    yield from _parse(data, request, sections=None)


def parse_odp(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of all slides; `slides` in its metadata says where each starts."""
    yield from _parse(data, request, sections="slides")


def parse_ods(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield each sheet that has something in it."""
    parts = _opened(data)
    title, metadata = _meta(parts)
    reader = _Reader(Text(request.most_bytes), request.most_bytes)
    _read(parts, reader)
    for name, lines in reader.sheets:
        if text := "\n".join(line for line in lines if line.strip()):
            shown = f"{title}: {name}" if title else name
            yield Parsed(text, shown, metadata | {"sheet": name}, part=("sheet", name))


def _parse(data: bytes, request: ParseRequest, *, sections: str | None) -> Iterator[Parsed]:
    parts = _opened(data)
    text = Text(request.most_bytes)
    _read(parts, _Reader(text, None))
    title, metadata = _meta(parts)
    if found := text.joined():
        yield Parsed(found, title, metadata | ({sections: text.sections()} if sections else {}))


def _opened(data: bytes) -> ZipParts:
    parts = ZipParts(data)
    manifest = "META-INF/manifest.xml"
    if manifest in parts and b"encryption-data" in parts.read(manifest):
        raise RefusedError("encrypted", "needs a password; save it without one")
    return parts


def _meta(parts: ZipParts) -> tuple[str | None, dict[str, str]]:
    if "meta.xml" not in parts:
        return None, {}
    found = fields_of(parts.chunks("meta.xml"), _META)
    title = found.pop("title", None)
    editor = found.pop("editor", None)
    found.setdefault("author", editor or "")
    return title, stated(**found)


def _read(parts: ZipParts, reader: _Reader) -> None:
    read_xml(parts.chunks("content.xml"), start=reader.start, end=reader.end, text=reader.text)


class _Reader:
    """The state while content is read. With `most_in_sheets` tables are sheets, of so many characters in all."""

    def __init__(self, text: Text, most_in_sheets: int | None) -> None:
        self.sheets: list[tuple[str, list[str]]] = []
        self._text, self._most = text, most_in_sheets
        self._size = self._skipping = 0
        self._paragraphs: list[list[str]] = []
        self._rows: list[list[str]] = []
        self._cells: list[tuple[list[str], int]] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
        elif name in _PARAGRAPHS:
            self._paragraphs.append([])
        elif name == "page":
            self._text.start_section()
        elif name == "table" and self._most is not None and not self._rows:
            self.sheets.append((attributes.get("name", ""), []))
        elif name == "table-row":
            self._rows.append([])
        elif name in ("table-cell", "covered-table-cell"):
            self._cells.append(([], _count(attributes.get("number-columns-repeated", "1"))))
        elif self._paragraphs:
            self._paragraphs[-1].append(_space(name, attributes))

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name in _PARAGRAPHS and self._paragraphs:
            self._add("".join(self._paragraphs.pop()))
        elif name in ("table-cell", "covered-table-cell") and self._cells:
            paragraphs, times = self._cells.pop()
            cell = "\n".join(paragraphs)
            if self._rows:
                self._rows[-1] += [" ".join(cell.split()) if self._most is not None else cell] * times
        elif name == "table-row" and self._rows:
            row = "\t".join(self._rows.pop()).rstrip("\t")
            if self._most is None or self._rows or not self.sheets:
                self._add(row)
            else:
                self._size += len(row) + 1
                if self._size > self._most:
                    raise TooLargeError
                self.sheets[-1][1].append(row)

    def text(self, value: str) -> None:
        if self._paragraphs and not self._skipping:
            # White space is one space, as in HTML; more of it has elements of its own.
            words = " ".join(value.split())
            head = " " if value[:1].isspace() else ""
            tail = " " if words and value[-1:].isspace() else ""
            self._paragraphs[-1].append(f"{head}{words}{tail}")

    def _add(self, paragraph: str) -> None:
        """Add a paragraph to the cell it is in, or to the text."""
        if self._cells:
            self._cells[-1][0].append(paragraph)
        else:
            self._text.add(paragraph)


def _space(name: str, attributes: Mapping[str, str]) -> str:
    if name == "s":
        return " " * _count(attributes.get("c", "1"))
    return {"tab": "\t", "line-break": "\n"}.get(name, "")


def _count(written: str) -> int:
    return min(int(written), _MOST_REPEATED) if written.isdecimal() and len(written) < 8 else 1
