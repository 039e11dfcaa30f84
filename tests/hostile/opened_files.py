"""Which files a run opens, as the interpreter tells, and what the catalog then has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from polyseme.storage.database.schema import document_versions, files
from polyseme.tasks.shards.scan import Scan
from tests.hostile.lakeside import Lakeside

_listening: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listening:
        _listening[-1].append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def opens(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the files in a folder that are opened, in order; complete at the end."""
    found, opened = list[str](), list[str]()
    _listening.append(opened)
    try:
        yield found
    finally:
        _listening.remove(opened)
        found += [path.removeprefix(f"{folder}/") for path in opened if path.startswith(f"{folder}/")]


def opened_by_a_run(lakeside: Lakeside, folder: Path, *sources: object, **options: Any) -> tuple[list[str], Scan]:
    with opens(folder) as found:
        scan = lakeside.embed(*(sources or (folder,)), **options)
    return sorted(set(found)), scan


def live(lakeside: Lakeside) -> list[tuple[Any, ...]]:
    """Return what the catalog has of each document of every encoding, but for when."""
    d = document_versions.c
    query = select(d.encoding_id, d.doc_id, d.uri, d.record_sha256, d.outputs).where(d.deleted.is_(False))
    with lakeside.catalog.reading() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


def kept(lakeside: Lakeside) -> int:
    with lakeside.catalog.reading() as connection:
        return len(connection.execute(select(files.c.uri)).all())
