"""The stream of a run's sources: documents, rejects and skipped files, or each file before it is read.

Knows no catalog: the caller decides whether a document is new, changed, a duplicate or gone, with `Source.covers` and
`shields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import BinaryIO

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.ahead import parsed_ahead
from polyseme.tasks.reading.archives import WITHIN
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import STDIN_URI
from polyseme.tasks.reading.skipped import EXCLUDED, EXCLUDED_FOLDER, HIDDEN, HIDDEN_FOLDER, Skipped
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.source_file import SourceFile, reading_of
from polyseme.tasks.reading.standard_input import read_named_stdin
from polyseme.tasks.reading.tables.layout import TABLE_IN_FOLDER

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
    if len(sources) == 1:  # which never names a file twice, and a million addresses would take memory
        yield from _listed(sources[0], options, stdin, reading)
        return
    seen: set[str] = set()
    singles = {source.single for source in sources if source.single is not None and not source.is_left_out}
    for source in sources:
        if source.kind == "stdin":
            if STDIN_URI not in seen:
                seen.add(STDIN_URI)
                yield from _listed(source, options, stdin, reading)
            continue
        for found in source.listed(options, reading=reading):
            if not isinstance(found, Reject) or found.code == TABLE_IN_FOLDER:
                if found.uri in seen or (not isinstance(found, SourceFile) and _is_read(found, sources, singles)):
                    continue
                seen.add(found.uri)
            yield found


def _listed(
    source: Source, options: ReadOptions, stdin: BinaryIO, reading: str
) -> Iterator[SourceFile | Document | Reject | Skipped]:
    if source.kind == "stdin":
        return read_named_stdin(stdin, options, name=source.target)
    return source.listed(options, reading=reading)


def _is_read(skipped: Skipped | Reject, sources: Sequence[Source], singles: Set[str]) -> bool:
    """Return whether another source reads what one leaves out: a table, the file of a source, or in its folder.

    A folder is read if another source comes to all that is in it: that of a file in it leaves the others unread.
    """
    if isinstance(skipped, Reject):
        return any(source.reads_table(skipped.uri) for source in sources)
    if skipped.reason in (EXCLUDED_FOLDER, HIDDEN_FOLDER):
        return any(source.takes_whole(skipped.uri, deep=True) for source in sources)
    if skipped.reason not in (EXCLUDED, HIDDEN):
        return False
    return skipped.uri in singles or any(s.covers(skipped.uri) for s in sources if s.single is None)


def shields(reject: Reject, uri: str) -> bool:
    """Return whether documents of `uri` may still exist although they were not read, because of `reject`.

    So for a file that was not read to its end or has nothing in it, with what is in it if it is an archive, for
    everything under a folder that could not be listed, and for a record whose id is not known: none of them proves that
    a document is gone. Not so for a table: what was read from its files goes, as the deletion guard lets it.
    """
    if reject.code == TABLE_IN_FOLDER:
        return False
    if reject.uri != uri:
        if reject.code == "unreadable" and uri.startswith(reject.uri.rstrip("/") + "/"):
            return True
        is_unknown = reject.code in INCOMPLETE_CODES or (reject.code == "empty-file" and reject.doc_id is None)
        return is_unknown and uri.startswith(reject.uri + WITHIN)
    return reject.code in INCOMPLETE_CODES or reject.doc_id is None
