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

    None if the query has no cursor, or was not read to its end.
    """
    whole = Place(address.uri, "", address.uri)
    position, failure, refused = None, "", None
    with tempfile.TemporaryFile(prefix="polyseme-") as copied:
        try:
            with connected(address) as connection, closing(batches(connection, address, since)) as found:
                position = greatest(connection, address, since) if address.cursor else None
                for columns, rows in found:
                    names = each_once(columns)
                    if (refused := _lacks(names, whole, options)) is not None:
                        break
                    pickle.dump([_fields(names, row, options) for row in rows], copied)
        except (QueryError, UnavailableError) as error:
            position, failure = None, str(error)
        for number, fields in enumerate(_copies(copied), 1):
            yield _record(fields, Place(whole.uri, f"row {number}", f"{whole.uri}#{number}"), options)
    if refused is not None:
        yield refused
        return None
    if failure:
        message = f"the database did not give all rows: {failure}. Those before were read; mend it, and run again"
        yield whole.refuse("unreadable", message)
    return position


def _lacks(names: Sequence[str], whole: Place, options: ReadOptions) -> Reject | None:
    """Return the reject of a query without a column that was asked for."""
    shown = ", ".join(f'"{name[:40]}"' for name in names[:_SHOWN])
    if options.text_field not in names:
        message = f'no column "{options.text_field}": this query has {shown}. Name the text with --text-field'
        return whole.refuse("missing-field", message)
    if options.id_field is not None and options.id_field not in names:
        message = f'no column "{options.id_field}": this query has {shown}. Name the one that identifies a row'
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
