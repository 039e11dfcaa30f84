"""The records of one Parquet file, a few rows at a time. Knows column types, not the meaning of the values.

Raises pyarrow.ArrowException or OSError for a damaged file, after the rows before the damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import Place, ReadOptions, document_from

_BATCH_BYTES = 16 << 20
_BATCH_ROWS = 256


def read_parquet(raw: BinaryIO, uri: str, options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the rows as documents. Binary columns are skipped, except for text, title and id."""
    whole = Place(uri, "", uri)
    if not raw.read(1):
        yield whole.refuse("empty-file", "nothing in it; write it again or remove it")
        return
    raw.seek(0)
    with pq.ParquetFile(raw) as file:
        columns_read = _columns(file.schema_arrow, options)
        strings = [f.name for f in file.schema_arrow if f.name in columns_read and _is_text(f.type)]
    raw.seek(0)
    # Row groups are decoded page by page: without the first two options a complete group is in memory. Without the
    # third a text that a dictionary stores once for a million rows is in memory once per row.
    with pq.ParquetFile(raw, pre_buffer=False, buffer_size=1 << 20, read_dictionary=strings) as file:
        if file.metadata.num_rows == 0:
            yield whole.refuse("empty-file", "no row in it; add rows or remove the file")
        number = 0
        for batch in file.iter_batches(_rows_per_batch(file), columns=columns_read):
            columns = [_values(batch.column(i)) for i in range(batch.num_columns)]
            for values in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
                number += 1
                place = Place(uri, f"row {number}", f"{uri}#{number}")
                yield _document(dict(zip(batch.schema.names, values, strict=True)), place, options)


def _rows_per_batch(file: Any) -> int:
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    widest = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=1)
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(widest, 1))))


def _columns(schema: Any, options: ReadOptions) -> list[str]:
    wanted = {options.text_field, options.title_field, options.id_field, "doc_id", "id"}
    return [f.name for f in schema if f.name in wanted or not _is_binary(f.type)]


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_binary(kind))


def _values(column: Any) -> list[object]:
    """Return a column as Python values; strings that are not valid UTF-8 are returned as bytes."""
    if pa.types.is_dictionary(column.type):
        used = column.indices.unique().drop_null()
        known = dict(zip(used.to_pylist(), _values(column.dictionary.take(used)), strict=True))
        return [None if index is None else known[index] for index in column.indices.to_pylist()]
    kind = column.type
    if pa.types.is_timestamp(kind):
        # Python has microseconds; nanoseconds would need pandas. Years beyond 9999 are converted to strings.
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    try:
        values: list[object] = column.to_pylist()
    except UnicodeDecodeError:
        values = [_text_or_bytes(value) for value in column.cast(pa.large_binary()).to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):
        values = pc.cast(column, pa.large_string()).to_pylist()
    return [_text_or_bytes(value) for value in values] if _is_binary(kind) else values


def _text_or_bytes(value: object) -> object:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _document(fields: dict[str, object], place: Place, options: ReadOptions) -> Document | Reject:
    text = fields.get(options.text_field)
    if not isinstance(text, bytes):
        return document_from(fields, place, options)
    fields[options.text_field] = text.decode(errors="replace")
    known = document_from(fields, place, options)
    if isinstance(known, Reject) and known.code == "bad-id":
        return known
    message = "the text column holds bytes that are not UTF-8; store text as UTF-8 strings"
    return place.refuse("invalid-utf8", message, of=text, doc_id=known.doc_id)
