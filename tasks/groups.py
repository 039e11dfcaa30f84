"""Items in lists of about equal size: what is sent to a worker process, or is in memory, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from polyseme.storage.records import Document

Item = TypeVar("Item")

_OVERHEAD = 100
"""Characters that every document counts in addition to its text, which bounds the documents of a group."""


def groups_of(items: Iterable[Item], size: Callable[[Item], int], least: int) -> Iterator[list[Item]]:
    """Yield consecutive items in lists of a total `size` of `least` or slightly more, the last one of less."""
    group: list[Item] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item)
        if total >= least:
            yield group
            group, total = [], 0
    if group:
        yield group


def document_size(document: Document) -> int:
    """Return the characters of a document's text, with an overhead."""
    return len(document.text) + _OVERHEAD
