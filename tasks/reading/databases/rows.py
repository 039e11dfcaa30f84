"""The rows of a query as documents and rejects. Knows no source and no catalog.

All rows are copied to a temporary file before the first is handed out: encoding may take hours, and as long as a query
is open, PostgreSQL cannot clean up behind it, and SQLite lets nobody write.

Codes of a whole query (with an empty locator): `unreadable` (the database did not answer, or not to the end),
`missing-field` and `bad-id` (no column has the name that was given).
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import IO

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.databases.address import DatabaseAddress
from polyseme.tasks.reading.databases.connecting import QueryError, UnavailableError, connected
from polyseme.tasks.reading.databases.querying import Position, batches, greatest, width
from polyseme.tasks.reading.databases.values import fields_of
from polyseme.tasks.reading.delimited import each_once
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.parquet import document_from_row

_SHOWN = 10


def read_rows(
    address: DatabaseAddress, options: ReadOptions, *, since: Position | None = None
) -> Generator[Document | Reject, None, Position | None]:
    """Yield rows: all, or those whose cursor is not below `since`. Return how far the cursor was read.

    None if the query has no cursor, or was not read to its end. All are yielded if the database cannot compare the
    cursor with `since` any more.
    """
    whole = Place(address.uri, "", address.uri)
    with tempfile.TemporaryFile(prefix="polyseme-") as file:
        try:
            end = _copy(address, whole, options, since, file)
        except QueryError:
            file.truncate(0)
            file.seek(0)
            end = _copy(address, whole, options, None, file)
        for number, fields in enumerate(_copies(file), 1):
            yield _record(fields, Place(whole.uri, f"row {number}", f"{whole.uri}#{number}"), options)
    if isinstance(end, Reject):
        yield end
        return None
    return end


def _copy(
    address: DatabaseAddress, whole: Place, options: ReadOptions, since: Position | None, file: IO[bytes]
) -> Position | Reject | None:
    """Copy rows to a file. Return how far the cursor was read, or the reject of a query that was not read to its end.

    Raises QueryError if the database does not take a query with `since`.
    """
    try:
        with connected(address) as connection, closing(batches(connection, address, since)) as found:
            position = greatest(connection, address, since) if address.cursor else None
            for columns, rows in found:
                names = each_once(columns)
                if (refused := _lacks(names, whole, options, has_cursor=bool(address.cursor))) is not None:
                    return refused
                pickle.dump([_fields(names, row, options) for row in rows], file)
            return position
    except (QueryError, UnavailableError) as error:
        if since is not None and isinstance(error, QueryError):
            raise
        message = f"the database did not give all rows: {error}. Those before were read; mend it, and run again"
        return whole.refuse("unreadable", message)


def _lacks(names: Sequence[str], whole: Place, options: ReadOptions, *, has_cursor: bool) -> Reject | None:
    """Return the reject of a query without a column that it needs."""
    shown = ", ".join(f'"{name[:40]}"' for name in names[:_SHOWN])
    if options.text_field not in names:
        message = f'no column "{options.text_field}": this query has {shown}. Name the text with --text-field'
        return whole.refuse("missing-field", message)
    if options.id_field is not None and options.id_field not in names:
        message = f'no column "{options.id_field}": this query has {shown}. Name the one that identifies a row'
        return whole.refuse("bad-id", f"{message} with --id-field")
    if has_cursor and options.id_field is None and not {"doc_id", "id"} & {*names} - {options.text_field}:
        message = f"a query with a cursor needs ids, this has {shown}. Name the column that identifies a row"
        return whole.refuse("bad-id", f"{message} with --id-field")
    return None


def _fields(names: Sequence[str], row: Sequence[object], options: ReadOptions) -> dict[str, object] | None:
    """Return the fields of a row; None for one that is longer than a line may be."""
    return None if width(row) > options.max_line_bytes else fields_of(names, row, options)


def _record(fields: dict[str, object] | None, place: Place, options: ReadOptions) -> Document | Reject:
    if fields is None:
        message = f"the row is longer than {options.max_line_bytes:,} bytes; split it or raise --max-line-mb"
        return place.refuse("line-too-long", message)
    return document_from_row(fields, place, options)


def _copies(file: IO[bytes]) -> Iterator[dict[str, object] | None]:
    end = file.tell()
    file.seek(0)
    while file.tell() < end:
        yield from pickle.load(file)
