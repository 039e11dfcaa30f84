"""Mutants: Polyseme without one of its safeguards, in this process and its children. The week has to notice."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from polyseme.storage.records import Document, Outputs, Reject
from polyseme.tasks.shards import stages
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.scan import Scan


def _forgets() -> None:
    """Leave one document in forty out of the plan."""
    pending = Scan.pending

    def forgetful(self: Scan, items: Iterable[Document | Reject]) -> Iterator[tuple[Document, Outputs]]:
        for document, outputs in pending(self, items):
            if zlib.crc32(document.text.encode()) % 40:
                yield document, outputs

    Scan.pending = forgetful  # type: ignore[method-assign]


def _no_guard() -> None:
    """Hide whatever was not found."""
    DeletionLimit.exceeded = lambda self, **counts: None  # type: ignore[assignment, method-assign]


def _stale() -> None:
    """Commit an older text under the hash of the one that was read."""
    read = stages.read_staged
    stages.read_staged = lambda lake, path: [  # type: ignore[assignment]
        replace(document, text=document.text.replace(" says ", " said ", 1)) for document in read(lake, path)
    ]


def _keeps() -> None:
    """Never hide what is gone."""
    Scan.delete_gone = lambda self, sources, limit=None: 0  # type: ignore[assignment, method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "forgets": _forgets,
    "no-guard": _no_guard,
    "stale": _stale,
    "keeps": _keeps,
}
