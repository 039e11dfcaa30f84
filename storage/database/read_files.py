"""Read files: the source files that were read, with their state then, and the documents that the catalog has of one.

Every function works inside a transaction that it is given. Whether a file need not be read is decided by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select

from polyseme.storage.checks import Origin
from polyseme.storage.database import meta
from polyseme.storage.database.dialects import insert_into, listed
from polyseme.storage.database.schema import document_versions, files
from polyseme.storage.database.versions import outputs_in
from polyseme.storage.records import Outputs
from polyseme.storage.source_files import FileState, ReadFile, SkippedPart

MEMBER = "!/"
"""What stands between the address of a file and the name of a document within it."""
_AFTER_MEMBERS = "!0"
DocumentAt = tuple[str, str, str, Outputs]
"""The uri, id, record_sha256 and outputs of a live document."""
_ROWS = 1000
_NOTHING = "{}"
_COLUMN = "files.skipped"


def find(connection: Connection, encoding_id: str, uris: Sequence[str]) -> dict[str, ReadFile]:
    """Return what is kept of those of `uris` that were read for an encoding."""
    f = files.c
    columns = (f.uri, f.size, f.modified_ns, f.stamp, f.reading, f.documents, f.digest, f.has_members, f.skipped)
    query = select(*columns).where(f.encoding_id == encoding_id, _is_one_of(connection, f.uri, uris))
    origin = meta.origin(connection)
    found = {}
    for uri, size, modified_ns, stamp, reading, documents, digest, has_members, skipped in connection.execute(
        query
    ).all():
        origin.integer(documents, "files.documents")
        found[uri] = ReadFile(
            uri=uri, state=FileState(size, modified_ns, stamp), reading=reading, documents=documents, digest=digest,
            has_members=bool(has_members), skipped=_skipped_in(origin, skipped),
        )  # fmt: skip
    return found


def put(connection: Connection, encoding_id: str, found: Sequence[ReadFile]) -> None:
    """Keep what reading files gave, in place of what is kept of them."""
    if not found:
        return
    rows = [{"encoding_id": encoding_id, **_row(file)} for file in found]
    statement = insert_into(connection, files)
    new = {column.name: statement.excluded[column.name] for column in files.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=files.primary_key, set_=new), rows)


def documents_at(connection: Connection, encoding_id: str, uris: Sequence[str]) -> Iterator[DocumentAt]:
    """Yield the live documents that an encoding has at some addresses, by uri and id."""
    d = document_versions.c
    yield from _documents(connection, encoding_id, _is_one_of(connection, d.uri, uris))


def documents_in(connection: Connection, encoding_id: str, uri: str) -> Iterator[DocumentAt]:
    """Yield the live documents that an encoding has at the address of a file and within it."""
    d = document_versions.c
    within = and_(d.uri >= uri + MEMBER, d.uri < uri + _AFTER_MEMBERS)
    for where in (d.uri == uri, within):
        yield from _documents(connection, encoding_id, where)


def forget_gone(connection: Connection) -> int:
    """Forget files of which an encoding has no live document any more. Return how many."""
    d, f = document_versions.c, files.c
    within = and_(d.uri >= f.uri.concat(MEMBER), d.uri < f.uri.concat(_AFTER_MEMBERS), f.has_members)
    live = (d.encoding_id == f.encoding_id, d.deleted.is_(False))
    held = or_(*(exists().where(*live, where).correlate(files) for where in (d.uri == f.uri, within)))
    return connection.execute(delete(files).where(~held)).rowcount


def _documents(connection: Connection, encoding_id: str, where: ColumnElement[bool]) -> Iterator[DocumentAt]:
    d = document_versions.c
    query = select(d.uri, d.doc_id, d.record_sha256, d.outputs)
    query = query.where(d.encoding_id == encoding_id, d.deleted.is_(False), where)
    # In an order, or SQLite would go through all of the encoding, which it takes for less than a look-up in the index.
    query = query.order_by(d.uri, d.doc_id)
    origin = meta.origin(connection)
    # A file may have millions of documents, and a server would send all of them at once.
    found = connection.execution_options(yield_per=_ROWS).execute(query).partitions()
    for uri, doc_id, record, outputs in chain.from_iterable(found):
        yield (
            origin.string(uri, "document_versions.uri"),
            origin.string(doc_id, "document_versions.doc_id"),
            origin.string(record, "document_versions.record_sha256"),
            outputs_in(origin, outputs),
        )


def _is_one_of(connection: Connection, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    # Not a join: SQLite would go through all of the encoding once for every list.
    return column.in_(select(listed(connection, values).c.value))


def _skipped_in(origin: Origin, stored: object) -> tuple[SkippedPart, ...]:
    """Return what was skipped of a file, from a JSON object of the form `{example: [reason, files]}`."""
    if stored == _NOTHING:  # of nearly all files
        return ()
    parts = []
    for example, found in origin.object(stored, _COLUMN).items():
        reason, number = found if isinstance(found, list) and len(found) == 2 else (None, None)
        parts.append(SkippedPart(example, origin.string(reason, _COLUMN), origin.integer(number, _COLUMN, least=1)))
    return tuple(parts)


def _row(file: ReadFile) -> dict[str, object]:
    row = file._asdict()
    skipped = {part.example: (part.reason, part.files) for part in file.skipped}
    return {**row.pop("state")._asdict(), **row, "skipped": json.dumps(skipped)}
