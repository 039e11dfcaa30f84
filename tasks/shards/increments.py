"""Increments: queries of which a run reads only the rows that are new, because an earlier one read the others.

How far its cursor was read is kept with a query as the state of a file is: with a digest of the documents that the lake
has of it then. It counts only as long as the catalog has just these, with every output that is asked for. So whatever
happened since (a run that was killed before it committed them, a deletion, a restored catalog, another encoding) leads
to reading all rows.
"""

from __future__ import annotations

from dataclasses import replace

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import read_files
from polyseme.storage.records import Outputs, Reject
from polyseme.storage.source_files import DocumentsDigest, FileState, ReadFile
from polyseme.tasks.reading.databases.source import QueryRows
from polyseme.tasks.reading.source_file import SourceFile

_NOWHERE = FileState(0, 0, "")


def resumed(catalog: Catalog, encoding_id: str, outputs: Outputs, file: SourceFile) -> ReadFile | None:
    """Let a query go on where its cursor was. Return what is kept of it; None if all of it has to be read.

    Then nothing is kept of it, until it is read to its end.
    """
    if not isinstance(file, QueryRows) or not file.address.cursor:
        return None
    with catalog.reading() as connection:  # one snapshot
        kept = read_files.find(connection, encoding_id, [file.uri]).get(file.uri)
        if kept is None or kept.state == _NOWHERE:
            return None
        digest, has_outputs = DocumentsDigest(), True
        for uri, doc_id, record, has in read_files.documents_in(connection, encoding_id, file.uri):
            digest.add(doc_id, record, uri[len(file.uri) :])
            has_outputs = has_outputs and has.covers(outputs)
    is_whole = has_outputs and (digest.documents, digest.value) == (kept.documents, kept.digest)
    is_same = kept.reading == file.reading and not file.options.checksum
    if is_whole and is_same and file.resume(kept.state.stamp):
        return kept
    with catalog.writing() as connection:
        read_files.put(connection, encoding_id, [replace(kept, state=_NOWHERE)])
    return None


def unread(uri: str) -> Reject:
    """Return what shields the documents of a query of which only new rows are read. It is no reject to record."""
    return Reject(uri, "", "read", "unreadable", "only new rows are read", "")
