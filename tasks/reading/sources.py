"""The stream of a run's sources: documents, rejects and skipped files, or each file before it is read.

Knows no catalog: the caller decides whether a document is new, changed, a duplicate or gone, with `Source.covers` and
`shields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from functools import partial
from pathlib import Path
from typing import BinaryIO

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.ahead import parsed_ahead
from polyseme.tasks.reading.archives import WITHIN
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.readers import STDIN_URI, read_file
from polyseme.tasks.reading.skipped import EXCLUDED, EXCLUDED_FOLDER, HIDDEN, HIDDEN_FOLDER, Skipped
from polyseme.tasks.reading.source import Source, path_of_uri, uri_of
from polyseme.tasks.reading.source_file import SourceFile, reading_of
from polyseme.tasks.reading.standard_input import read_named_stdin

INCOMPLETE_CODES = frozenset({
    "unreadable", "truncated", "decompression-bomb", "corrupt", "undecodable", "unforeseen", "wrong-format",
    "missing-extra", "parser-timeout", "parser-memory", "parser-crashed", "encrypted",
})  # fmt: skip
"""Codes of a file (or, with `unreadable`, a folder) that was not read to its end: its other documents are unknown."""


def read_sources(
    sources: Sequence[Source], options: ReadOptions, *, stdin: BinaryIO
) -> Iterator[Document | Reject | Skipped]:
    """Yield the documents, rejects and skipped files of `sources` in order, each file once even if several name it."""
    for item in parsed_ahead(list_sources(sources, options, stdin=stdin)):
        if isinstance(item, SourceFile):
            yield from item.read()
        else:
            yield item


def list_sources(
    sources: Sequence[Source], options: ReadOptions, *, stdin: BinaryIO
) -> Iterator[SourceFile | Document | Reject | Skipped]:
    """Yield what `read_sources` does, with each file in place of what it gives: whoever wants that reads the file."""
    reading = reading_of(options)
    # One source never names a file twice, and a million addresses would take memory.
    seen: set[str] | None = set() if len(sources) > 1 else None
    files = {
        uri_of(source.target) for source in sources if source.kind == "file" and not source.leaves_out(source.target)
    }
    for source in sources:
        if source.kind == "stdin":
            if seen is None or STDIN_URI not in seen:
                yield from read_named_stdin(stdin, options, name=source.target)
            if seen is not None:
                seen.add(STDIN_URI)
            continue
        unlisted: list[Reject] = []
        for found in source.files(on_error=partial(_add_unlisted, unlisted)):
            uri = found.uri if isinstance(found, Skipped) else found.as_uri()
            if seen is not None:
                if uri in seen or (isinstance(found, Skipped) and _is_read(found, sources, files)):
                    continue
                seen.add(uri)
            if isinstance(found, Skipped):
                yield found
            else:
                read = partial(read_file, found, uri, options)
                yield SourceFile(str(found), uri, options, reading=reading, read=read)
        yield from unlisted


def _is_read(skipped: Skipped, sources: Sequence[Source], files: Set[str]) -> bool:
    """Return whether another source reads what one leaves out: the address of one of `files`, or in another folder.

    A folder is read if another source comes to all that is in it: that of a file in it leaves the others unread.
    """
    if skipped.reason in (EXCLUDED_FOLDER, HIDDEN_FOLDER):
        folder = path_of_uri(skipped.uri).rstrip("/")
        return any(source.takes_whole(folder, deep=True) for source in sources)
    if skipped.reason not in (EXCLUDED, HIDDEN):
        return False
    return skipped.uri in files or any(s.covers(skipped.uri) for s in sources if s.kind in ("folder", "glob"))


def shields(reject: Reject, uri: str) -> bool:
    """Return whether documents of `uri` may still exist although they were not read, because of `reject`.

    So for a file that was not read to its end or has nothing in it, with what is in it if it is an archive, for
    everything under a folder that could not be listed, and for a record whose id is not known: none of them proves that
    a document is gone.
    """
    if reject.uri != uri:
        if reject.code == "unreadable" and uri.startswith(reject.uri.rstrip("/") + "/"):
            return True
        is_unknown = reject.code in INCOMPLETE_CODES or (reject.code == "empty-file" and reject.doc_id is None)
        return is_unknown and uri.startswith(reject.uri + WITHIN)
    return reject.code in INCOMPLETE_CODES or reject.doc_id is None


def _add_unlisted(unlisted: list[Reject], folder: Path, error: OSError) -> None:
    message = f"the folder cannot be listed: {error.strerror}; check that it exists and its permissions, then run again"
    unlisted.append(Place(folder.as_uri(), "", "").refuse("unreadable", message))
