"""The records of one Parquet file, a few rows at a time. Knows column types, not the meaning of the values.

Raises pyarrow.ArrowException or OSError for a damaged file, ExpansionError for one that takes far more memory than its
bytes justify, after the rows before.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.parquet.page_headers import RowGroup, row_groups
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION, ExpansionError
from polyseme.tasks.reading.documents import Place, ReadOptions, document_from
from polyseme.tasks.reading.parquet_pages import SMALLER, check_row_group, check_rows
from polyseme.tasks.reading.parquet_values import decoded_bytes, fixed_bytes, values_of

_BATCH_BYTES = 16 << 20
_BATCH_ROWS = 256
_BATCH_VALUES = 1 << 16
_BUFFERS = 64 << 20
"""Bytes read ahead, over all columns."""
_NARROWER = "Write it with fewer columns and larger row groups"
_MOST_COLUMNS, _MOST_FOOTER = 16_384, 32 << 20
"""Arrow takes 13 kB and 0.2 ms a column, whatever it holds, and 12 bytes of memory for one of the footer."""


def read_parquet(raw: BinaryIO, uri: str, options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the rows as documents. Binary columns are skipped, except for text, title and id."""
    whole = Place(uri, "", uri)
    if not raw.read(1):
        yield whole.refuse("empty-file", "nothing in it; write it again or remove it")
        return
    _check_footer(raw)
    with pq.ParquetFile(raw) as file:
        if len(file.schema) > _MOST_COLUMNS:
            raise ExpansionError(f"{len(file.schema):,} columns, and {_MOST_COLUMNS:,} are read", _NARROWER)
        schema = file.schema_arrow  # made anew by every access
        names = columns_to_read(schema, options)
        wanted = set(names)
        leaves = _leaves(file, wanted)
        fixed = sum(fixed_bytes(field.type) for field in schema if field.name in wanted)
        if fixed > options.max_line_bytes:
            raise ExpansionError(f"each row takes {fixed:,} bytes, in lists of a fixed length", SMALLER)
        size = raw.seek(0, os.SEEK_END)
        check_rows(file, size)
    with _opened(raw, leaves) as file:
        if file.metadata.num_rows == 0:
            yield whole.refuse("empty-file", "no row in it; add rows or remove the file")
        elif not names:
            message = f'no column "{options.text_field}": all hold binary data. Name the text with --text-field'
            yield whole.refuse("missing-field", message)
        else:
            batches = _batches(file, raw, names, leaves, options, fixed=fixed)
            yield from _documents(batches, whole, options, size=size)


def _check_footer(raw: BinaryIO) -> None:
    """Raise ExpansionError for a footer that would take too much memory; leave the file at its beginning."""
    size = raw.seek(0, os.SEEK_END)
    raw.seek(max(0, size - 8))
    length = int.from_bytes(raw.read(4), "little")
    raw.seek(0)
    if _MOST_FOOTER < length < size:  # a longer one is damage
        raise ExpansionError(f"a footer of {length:,} bytes, and {_MOST_FOOTER:,} are read", _NARROWER)


def _opened(raw: BinaryIO, leaves: Sequence[int], *, plain: Collection[int] = ()) -> Any:
    """Open a file to decode some leaf columns: strings as dictionaries, but for those that are `plain`."""
    raw.seek(0)
    with pq.ParquetFile(raw) as file:
        columns = {i: file.schema.column(i) for i in leaves if i not in plain}
        strings = [column.path for column in columns.values() if column.physical_type == "BYTE_ARRAY"]
    raw.seek(0)
    # Row groups are decoded page by page: without the first two options a complete group is in memory. Without the
    # third a text that a dictionary stores once for a million rows is in memory once per row.
    buffer = min(1 << 20, _BUFFERS // max(len(leaves), 1))
    return pq.ParquetFile(raw, pre_buffer=False, buffer_size=max(buffer, 1 << 12), read_dictionary=strings)


def _batches(
    file: Any, raw: BinaryIO, names: list[str], leaves: list[int], options: ReadOptions, *, fixed: int
) -> Iterator[Any]:
    """Yield the rows of each row group once its sizes are checked. Raises ExpansionError."""
    groups = list(row_groups(raw))
    if len(groups) != file.metadata.num_row_groups:
        raise OSError("the footer is damaged")
    plain: Collection[int] = ()
    for number, group in enumerate(groups):
        checked = check_row_group(file, raw, group, leaves, max_document_bytes=options.max_document_bytes)
        if checked.plain != frozenset(plain):
            plain = checked.plain
            file = _opened(raw, leaves, plain=plain)
        size = _rows_per_batch(file, group, leaves, least=max(fixed, checked.longest))
        yield from file.iter_batches(size, row_groups=[number], columns=names)


def _documents(batches: Iterator[Any], whole: Place, options: ReadOptions, *, size: int) -> Iterator[Document | Reject]:
    """Yield the rows. Raises ExpansionError if these are far larger than the `size` of the file."""
    chars = number = 0
    for number, fields in enumerate((row for batch in batches for row in records_of(batch, options)), start=1):
        place = Place(whole.uri, f"row {number}", f"{whole.uri}#{number}")
        record = too_long(place, options) if fields is None else document_from_row(fields, place, options)
        chars += len(record.text) + len(record.metadata) if isinstance(record, Document) else 0
        if chars > FREE_BYTES and chars > MOST_EXPANSION * size:
            raise ExpansionError(f"{size:,} bytes gave {chars:,} characters", SMALLER)
        yield record
    if number == 0:
        raise OSError("none of the rows that its footer counts")


def records_of(batch: Any, options: ReadOptions) -> Iterator[dict[str, object] | None]:
    """Yield the fields of each row; None for a row that is longer than a line may be."""
    nested = [i for i, field in enumerate(batch.schema) if pa.types.is_nested(field.type)]
    if sum(decoded_bytes(batch.column(i)) for i in nested) > options.max_line_bytes:
        if batch.num_rows == 1:
            yield None
        else:
            for row in range(batch.num_rows):
                yield from records_of(batch.slice(row, 1), options)
        return
    columns = [values_of(batch.column(i)) for i in range(batch.num_columns)]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def too_long(place: Place, options: ReadOptions) -> Reject:
    """Return the reject of a row that is longer than a line may be."""
    message = f"the lists of the row are longer than {options.max_line_bytes:,} bytes; split it or raise --max-line-mb"
    return place.refuse("line-too-long", message)


def _rows_per_batch(file: Any, group: RowGroup, leaves: list[int], *, least: int) -> int:
    fixed = sum(max(file.schema.column(i).length or 0, 0) for i in leaves)
    widest = max(group.bytes // max(group.rows, 1), fixed, least, 1)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // widest, _BATCH_VALUES // max(len(leaves), 1)))


def _leaves(file: Any, names: set[str]) -> list[int]:
    """Return the numbers of the leaf columns below the top-level columns `names`."""
    lengths = {len(name) for name in names}

    def is_below(path: str) -> bool:
        return any(path[length : length + 1] in ("", ".") and path[:length] in names for length in lengths)

    schema = file.schema
    return [i for i in range(len(schema)) if is_below(schema.column(i).path)]


def columns_to_read(schema: Any, options: ReadOptions) -> list[str]:
    """Return the names of the columns to read: not of binary data, but for text, title and id."""
    wanted = {options.text_field, options.title_field, options.id_field, "doc_id", "id"}
    return [f.name for f in schema if f.name in wanted or not _is_binary(f.type)]


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def document_from_row(fields: dict[str, object], place: Place, options: ReadOptions) -> Document | Reject:
    """Return a row as a document, as `document_from` does; text that is not UTF-8 comes as bytes, and is refused."""
    text = fields.get(options.text_field)
    if not isinstance(text, bytes):
        return document_from(fields, place, options)
    fields[options.text_field] = text.decode(errors="replace")
    known = document_from(fields, place, options)
    if isinstance(known, Reject) and known.code == "bad-id":
        return known
    message = "the text column holds bytes that are not UTF-8; store text as UTF-8 strings"
    return place.refuse("invalid-utf8", message, of=text, doc_id=known.doc_id)
