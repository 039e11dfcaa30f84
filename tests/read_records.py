"""Records of a file as a scan reads them, apart by what they became."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources


def read(path: Path, content: bytes | None = None, **options: object) -> list[Document | Reject]:
    if content is not None:
        path.write_bytes(content)
    return list(read_sources(resolve([str(path)]), ReadOptions(**options), stdin=io.BytesIO()))  # type: ignore[arg-type]


def documents(found: Iterable[Document | Reject]) -> list[Document]:
    return [d for d in found if isinstance(d, Document)]


def rejects(found: Iterable[Document | Reject]) -> list[Reject]:
    return [r for r in found if isinstance(r, Reject)]


def codes(found: Iterable[Document | Reject]) -> list[tuple[str, str]]:
    return [(r.locator, r.code) for r in rejects(found)]
