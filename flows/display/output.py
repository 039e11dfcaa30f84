"""Results on stdout: as a table for people, or as JSON, JSON lines, CSV or Parquet for programs.

A table is escaped for terminals, also in a file; the other formats have every character as it is.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from datetime import datetime, time
from decimal import Decimal
from io import StringIO
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.flows.display.terminal import escaped, note, show
from polyseme.storage.errors import UsageError

Format = Literal["table", "json", "jsonl", "csv", "parquet"]

_FOLD_FROM = 8
"""Lists of this many numbers or more are shown as their first two and their length."""
_NO_LIMIT = 1_000_000
_TABLE_ROWS = 5_000
"""DuckDB's own printer stops at twice as many."""

_PLAIN_BYTES = frozenset(range(32, 127)) - set(b"\\'\"")
"""What DuckDB writes of bytes as they are."""


def write_table(table: pa.Table, form: Format) -> None:
    """Write `table` to stdout. Raises UsageError for Parquet on a terminal."""
    write_rows(table.to_reader(max_chunksize=1000), form)


def write_rows(rows: pa.RecordBatchReader, form: Format) -> None:
    """Write rows to stdout as they come, a table once it has all. Raises UsageError for Parquet on a terminal."""
    if form == "table" and not rows.schema.names:
        show("Nothing.")
    elif form == "table":
        head = _head(rows, _TABLE_ROWS + 1)
        _show(head.slice(0, _TABLE_ROWS))
        if head.num_rows > _TABLE_ROWS:
            note(f"The first {_TABLE_ROWS:,} rows; --format csv, jsonl or parquet gives all.")
    elif form == "parquet":
        _refuse_terminal()
        names = distinct(rows.schema.names)
        schema = pa.schema([field.with_name(name) for field, name in zip(rows.schema, names, strict=True)])
        with pq.ParquetWriter(sys.stdout.buffer, schema) as writer:
            for batch in rows:
                writer.write_batch(batch.rename_columns(names))
    elif form == "csv":
        _write_csv(rows.schema, rows)
    else:
        _write_json(rows, lines=form == "jsonl")
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.buffer.write(orjson.dumps(value, default=plain, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def _show(table: pa.Table) -> None:
    import duckdb

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else _NO_LIMIT
    names = distinct([escaped(name) for name in table.column_names])
    with duckdb.connect() as con, redirect_stdout(StringIO()) as drawn:
        con.register("answer", pa.table([_visible(_folded(c)) for c in table.columns], names=names))
        shown = con.sql("FROM answer")
        shown.show(max_width=width, max_rows=200 if on_terminal else _TABLE_ROWS, max_col_width=width)
    show(drawn.getvalue().removesuffix("\n"))


def _visible(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return strings escaped before they are drawn, so that they take the width that they have."""
    if not pa.types.is_string(column.type):
        return column
    return pa.chunked_array([[value and escaped(value) for value in column.to_pylist()]], pa.string())


def _folded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return vectors shortened to `[0.12, -0.03, … 384]`."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        return column
    return pa.chunked_array([[_fold(value) for value in column.to_pylist()]], pa.string())


def _fold(vector: list[float] | None) -> str | None:
    if vector is None:
        return None
    head = ", ".join(f"{x:.2f}" if x is not None else "NULL" for x in vector[:2])
    return f"[{head}, … {len(vector)}]" if len(vector) >= _FOLD_FROM else str([round(x, 4) for x in vector])


def distinct(names: list[str]) -> list[str]:
    """Return names of which none occurs twice: the second `text` is `text_2`."""
    given, found = set(names), dict[str, None]()
    for name in names:
        number, free = 2, name
        while free in found or (free in given and free != name):
            free, number = f"{name}_{number}", number + 1
        found[free] = None
    return list(found)


def _head(rows: pa.RecordBatchReader, most: int) -> pa.Table:
    """Return the first `most` rows as a table."""
    batches, count = [], 0
    for batch in rows:
        batches.append(batch)
        count += batch.num_rows
        if count >= most:
            break
    return pa.Table.from_batches(batches, rows.schema).slice(0, most)


def _refuse_terminal() -> None:
    if sys.stdout.isatty():
        raise UsageError("Parquet is binary: redirect it to a file (… --format parquet > answer.parquet).")


def _write_csv(schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(distinct(schema.names))
    for batch in rows:
        for row in zip(*(values(column) for column in batch.columns), strict=True):
            writer.writerow([written(value) for value in row])


def written(value: Any) -> Any:
    if isinstance(value, orjson.Fragment):
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, datetime | time):
        return _clock(value)
    return orjson.dumps(value, default=plain).decode() if isinstance(value, list | dict) else value


def _write_json(rows: pa.RecordBatchReader, *, lines: bool) -> None:
    out = sys.stdout.buffer
    names = distinct(rows.schema.names)
    first = True
    for batch in rows:
        columns = [values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            if not lines:
                out.write(b"[\n " if first else b",\n ")
            fields = dict(zip(names, row, strict=True))
            out.write(orjson.dumps(fields, default=plain) + (b"\n" if lines else b""))
            first = False
    if not lines:
        out.write(b"[]\n" if first else b"\n]\n")


def values(column: pa.Array) -> list[Any]:
    """Return a column as Python values; what Python's types cannot hold as DuckDB writes it."""
    if not _beyond_python(column.type):
        # By DuckDB too: years beyond 9999 and before 1, infinity.
        with suppress(OverflowError, ValueError, KeyError):
            values: list[Any] = column.to_pylist()
            return values
    import duckdb

    nested = pa.types.is_nested(column.type)
    with duckdb.connect() as con:
        con.register("answer", pa.table({"value": column}))
        written = con.sql(f"SELECT {'to_json(value)' if nested else 'value::VARCHAR'} FROM answer").fetchall()
    return [orjson.Fragment(value) if nested and value is not None else value for (value,) in written]


def _beyond_python(kind: pa.DataType) -> bool:
    """Return whether Python has no type for values of `kind`: intervals and nanoseconds, at any depth."""
    if pa.types.is_nested(kind):
        return any(_beyond_python(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_interval(kind) or getattr(kind, "unit", None) == "ns"


def plain(value: Any) -> Any:
    """Return a value that orjson does not know as one that it does.

    Decimals, such as any sum, become numbers with all their digits, sets lists, bytes what DuckDB writes, all else
    text.
    """
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, set | frozenset):
        return sorted(value)
    return _bytes(value) if isinstance(value, bytes) else str(value)


def _bytes(value: bytes) -> str:
    r"""Return bytes as DuckDB writes them, and reads them again: `a\x00`."""
    return "".join(chr(byte) if byte in _PLAIN_BYTES else f"\\x{byte:02X}" for byte in value)


def _clock(value: datetime | time) -> str:
    """Return a time as DuckDB writes it: no zeros at the end of a second, nor of an offset of whole hours."""
    written = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    seconds, point, rest = written.partition(".")
    if point:
        written = f"{seconds}.{rest[:6].rstrip('0')}{rest[6:]}"
    return written if value.utcoffset() is None else written.removesuffix(":00")
