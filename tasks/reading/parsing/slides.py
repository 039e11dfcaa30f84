"""PPTX: the text of each slide in the order of the show, and the notes of its speaker below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polyseme.tasks.reading.parsing.office_parts import core_properties, main_part, opened, relations
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, of_sections
from polyseme.tasks.reading.parsing.xml_events import read_xml
from polyseme.tasks.reading.parsing.zip_parts import ZipParts

_SKIPPED = frozenset({"fld", "Fallback"})
"""Fields hold the number of the slide or today's date."""


def parse_pptx(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of all slides; `slides` in its metadata says where each starts."""
    parts = opened(data)
    main = main_part(parts, "ppt/presentation.xml")
    text, metadata = of_sections((_slide(parts, part) for part in _order(parts, main)), "slides", request.most_bytes)
    title, properties = core_properties(parts)
    if text:
        yield Parsed(text, title, properties | metadata)


def _order(parts: ZipParts, main: str) -> list[str]:
    known = relations(parts, main)
    order: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sldId" and attributes.get("id", "") in known:
            order.append(known[attributes["id"]][1])

    read_xml(parts.chunks(main), start=start, end=_ignore, text=_ignore)
    return [part for part in order if part in parts]


def _slide(parts: ZipParts, part: str) -> str:
    notes = [target for kind, target in relations(parts, part).values() if kind == "notesSlide" and target in parts]
    return "\n\n".join(text for one in (part, *notes) if (text := _text(parts, one)))


def _text(parts: ZipParts, part: str) -> str:
    paragraphs: list[str] = []
    current: list[str] = []
    cells: list[str] | None = None
    in_text, skipping = False, 0

    def start(name: str, _: Mapping[str, str]) -> None:
        nonlocal in_text, skipping, cells
        if skipping or name in _SKIPPED:
            skipping += 1
        elif name == "t":
            in_text = True
        elif name == "br":
            current.append("\n")
        elif name == "tr":
            cells = []
        elif name == "tc" and cells is not None:
            cells.append("")

    def end(name: str) -> None:
        nonlocal in_text, skipping, cells
        if skipping:
            skipping -= 1
        elif name == "t":
            in_text = False
        elif name == "p":
            paragraph = "".join(current).strip()
            current.clear()
            if cells:
                cells[-1] = f"{cells[-1]}\n{paragraph}" if cells[-1] else paragraph
            elif paragraph:
                paragraphs.append(paragraph)
        elif name == "tr" and cells is not None:
            paragraphs.append("\t".join(cells))
            cells = None

    def text(value: str) -> None:
        if in_text and not skipping:
            current.append(value)

    read_xml(parts.chunks(part), start=start, end=end, text=text)
    return "\n\n".join(paragraphs)


def _ignore(_: str) -> None:
    pass
