"""What Office files (OOXML) have in common: relations between parts, and what a document states of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyseme.tasks.reading.parsing.parsed import RefusedError, corrupt, stated
from polyseme.tasks.reading.parsing.xml_events import fields_of, read_xml
from polyseme.tasks.reading.parsing.zip_parts import ZipParts, beside

_CORE = {
    "title": "title", "creator": "author", "subject": "subject", "keywords": "keywords", "language": "language",
    "created": "created", "modified": "modified", "description": "description",
}  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0"


def opened(data: bytes) -> ZipParts:
    """Open an Office file. Refuses one with a password, which is an OLE file around what is encrypted."""
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise RefusedError("encrypted", "needs a password; save it without one")
        raise corrupt("a file of an older Office under a newer suffix; rename it .doc, .ppt or .xls")
    return ZipParts(data)


def relations(parts: ZipParts, part: str) -> dict[str, tuple[str, str]]:
    """Return by its id the kind and the part of each relation of `part`; its own if it has none are none.

    The root of the file is the part with the empty name.
    """
    folder, _, name = part.rpartition("/")
    relation_part = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, beside(part, attributes.get("Target", "")))

    if relation_part in parts:
        read_xml(parts.chunks(relation_part), start=start, end=_ignore, text=_ignore)
    return found


def main_part(parts: ZipParts, usual: str) -> str:
    """Return the name of the part that holds the document."""
    found = next((target for kind, target in relations(parts, "").values() if kind == "officeDocument"), usual)
    return found if found in parts else usual


def core_properties(parts: ZipParts) -> tuple[str | None, dict[str, Any]]:
    """Return the title that a document states, and its author, dates and the like."""
    found = next((target for kind, target in relations(parts, "").values() if kind == "core-properties"), "")
    if found not in parts:
        return None, {}
    values = fields_of(parts.chunks(found), _CORE)
    return values.pop("title", None), stated(**values)


def _ignore(_: str) -> None:
    pass
