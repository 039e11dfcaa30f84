"""Comparison: whether the lake has a document as it was read, and how much is read before it is compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from polyseme.storage.records import Document, DocumentVersion, Outputs, Reject

_DOCUMENTS, _CHARS = 1000, 4_000_000


@dataclass(slots=True)
class Batch:
    """What was read and is to be compared with the catalog."""

    documents: list[Document] = field(default_factory=list)
    refused: list[Reject] = field(default_factory=list)
    chars: int = 0

    def add(self, document: Document) -> None:
        """Add a document."""
        self.documents.append(document)
        self.chars += len(document.text)

    @property
    def is_full(self) -> bool:
        """Whether it is enough for one look-up."""
        return len(self.documents) + len(self.refused) >= _DOCUMENTS or self.chars >= _CHARS


@dataclass(frozen=True, slots=True)
class Pending:
    """A document that is not up to date, with the outputs it is to have, and whether its rows are those of its text."""

    document: Document
    outputs: Outputs
    redescribes: bool


def is_current(stored: DocumentVersion, document: Document, outputs: Outputs, *, record: str | None = None) -> bool:
    """Return whether the lake has all `outputs` of this version of `document`, or a newer version of it.

    `record` is the document's `record_sha256`, if it is known.
    """
    if document.text_version is not None and stored.order[0] > document.text_version:
        return True
    return stored.record_sha256 == (record or document.record_sha256) and stored.outputs.covers(outputs)


def is_redescribed(stored: DocumentVersion, document: Document, outputs: Outputs) -> bool:
    """Return whether a document that is not current has the text that the lake has, with all `outputs`."""
    known = stored.content_sha256 is not None and stored.outputs.covers(outputs)
    return known and stored.content_sha256 == document.content_sha256
