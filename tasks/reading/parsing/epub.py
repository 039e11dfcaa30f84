"""EPUB: the chapters in the order of the book, each read as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyseme.tasks.reading.parsing.html import page
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, corrupt, of_sections, stated
from polyseme.tasks.reading.parsing.xml_events import fields_of, read_xml
from polyseme.tasks.reading.parsing.zip_parts import ZipParts, beside

_META = {
    "title": "title", "creator": "author", "language": "language", "date": "date", "publisher": "publisher",
    "description": "description", "subject": "subject", "identifier": "identifier",
}  # fmt: skip
_HTML = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_ENCRYPTION = "META-INF/encryption.xml"


def parse_epub(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a book; `chapters` in its metadata says where each file of it starts."""
    parts = ZipParts(data)
    package = _package(parts)
    chapters = _chapters(parts, package)
    if any(chapter in _encrypted(parts) for chapter in chapters):
        raise RefusedError("encrypted", "its chapters are encrypted (DRM); use a copy without it")
    texts = (page(parts.read(chapter), request.most_bytes)[0] for chapter in chapters)
    text, sections = of_sections(texts, "chapters", request.most_bytes)
    found = fields_of(parts.chunks(package), _META, within="metadata")
    if text:
        title = found.pop("title", None)
        yield Parsed(text, title, stated(**found) | sections)


def _package(parts: ZipParts) -> str:
    found: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "rootfile" and "full-path" in attributes:
            found.append(attributes["full-path"])

    read_xml(parts.chunks("META-INF/container.xml"), start=start, end=_ignore, text=_ignore)
    if not found:
        raise corrupt("its container names no package")
    return found[0]


def _chapters(parts: ZipParts, package: str) -> list[str]:
    files: dict[str, str] = {}
    spine: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "item" and attributes.get("media-type") in _HTML and "nav" not in attributes.get("properties", ""):
            files[attributes.get("id", "")] = beside(package, attributes.get("href", ""))
        elif name == "itemref":
            spine.append(attributes.get("idref", ""))

    read_xml(parts.chunks(package), start=start, end=_ignore, text=_ignore)
    return [files[name] for name in dict.fromkeys(spine) if files.get(name, "") in parts]


def _encrypted(parts: ZipParts) -> set[str]:
    found: set[str] = set()

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "CipherReference":
            found.add(beside("", attributes.get("URI", "")))

    if _ENCRYPTION in parts:
        read_xml(parts.chunks(_ENCRYPTION), start=start, end=_ignore, text=_ignore)
    return found


def _ignore(_: str) -> None:
    pass
