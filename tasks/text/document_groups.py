"""Documents in groups of about equal size: what is sent to a worker process at a time. Knows nothing of processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from polyseme.storage.records import Document

_OVERHEAD = 100
"""Characters that every document counts in addition to its text, which bounds the documents of a group."""


def size_of(document: Document) -> int:
    """Return the characters of a document, with an overhead."""
    return len(document.text) + _OVERHEAD


def groups_of(documents: Iterable[Document], least: int) -> Iterator[list[Document]]:
    """Yield consecutive documents in lists of a total size of `least` or slightly more, the last one of less."""
    group: list[Document] = []
    size = 0
    for document in documents:
        group.append(document)
        size += size_of(document)
        if size >= least:
            yield group
            group, size = [], 0
    if group:
        yield group
