"""From what a parser answered to documents and rejects.

Codes of rejects: `missing-extra`, `empty-file`, `empty-text`, `encrypted`, `no-text-layer`, `document-too-large`,
`corrupt`, `decompression-bomb`, `parser-timeout`, `parser-memory`, `parser-crashed`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import chunks_of
from polyseme.tasks.reading.documents import (
    MIB,
    Place,
    ReadOptions,
    canonical_json,
    checked_text,
    clean_title,
    part_fragment,
)
from polyseme.tasks.reading.formats import format_of, missing_package, what_to_install
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.parsing.worker import out_of_memory

Answers: TypeAlias = "Future[list[Parsed | RefusedError]]"


def request_for(
    suffix: str, options: ReadOptions, *, path: Path | None = None, data: bytes | None = None
) -> ParseRequest:
    """Return the request to parse a file, by its path or by its content."""
    return ParseRequest(
        suffix=suffix, path=None if path is None else str(path), data=data,
        most_bytes=options.max_document_bytes, seconds=options.parse_seconds, megabytes=options.parse_mb,
    )  # fmt: skip


def missing_extra(place: Place, suffix: str, package: str) -> Reject:
    """Return the reject of what needs a package that is not installed."""
    return place.refuse("missing-extra", what_to_install(f"{suffix} files", package))


def read_parsed(
    suffix: str,
    name: str,
    content: Path | io.BufferedReader,
    uri: str,
    options: ReadOptions,
    *,
    parsers: Parsers | None,
    answers: Answers | None,
) -> Iterator[Document | Reject]:
    """Yield the documents and rejects of a file of this name that has to be parsed, at a path or in a stream."""
    place = Place(uri, "", uri)
    if package := missing_package(suffix):
        yield missing_extra(place, suffix, package)
        return
    if answers is not None:
        found = answers.result()
    else:
        if isinstance(content, Path):
            request: ParseRequest | RefusedError = request_for(suffix, options, path=content)
        else:
            request = _whole(suffix, content, options)
        found = [request] if isinstance(request, RefusedError) else _parsed(request, parsers)
    named = format_of(name) or ("", "")  # it may be read as another format
    stem = name[: len(name) - len("".join(named))] or name
    for answer in found:
        if isinstance(answer, RefusedError):
            part = _place(uri, answer.part)
            yield part.refuse(answer.code, answer.message, doc_id=part.key if answer.part else None)
        else:
            yield _document(answer, uri, stem, options)


def _whole(suffix: str, stream: io.BufferedReader, options: ReadOptions) -> ParseRequest | RefusedError:
    data = bytearray()
    for block in chunks_of(stream):
        data += block
        if len(data) > options.parse_mb * MIB:
            return out_of_memory(options.parse_mb)
    return request_for(suffix, options, data=bytes(data))


def _parsed(request: ParseRequest, parsers: Parsers | None) -> list[Parsed | RefusedError]:
    if parsers is not None:
        return parsers.parse(request)
    with Parsers(1) as alone:
        return alone.parse(request)


def _place(uri: str, part: tuple[str, str] | None) -> Place:
    return Place(uri, "", uri) if part is None else Place(uri, " ".join(part), f"{uri}#{part_fragment(*part)}")


def _document(parsed: Parsed, uri: str, stem: str, options: ReadOptions) -> Document | Reject:
    place = _place(uri, parsed.part)
    text = checked_text(parsed.text, place, options, doc_id=place.key)
    if isinstance(text, Reject):
        return text
    title = clean_title(parsed.title) or clean_title(f"{stem}: {place.locator}" if place.locator else stem)
    return Document(place.key, uri, text, place.locator, title, canonical_json(parsed.metadata))
