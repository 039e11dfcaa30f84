"""Results on stdout: as a table for people, or as JSON, JSON lines, CSV or Parquet for programs.

A table is escaped for terminals, also in a file; the other formats have every character as it is. Only on a terminal is
anything cut.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.flows.display.drawn_table import Sideways, draw
from polyseme.flows.display.table_cells import cell_columns
from polyseme.flows.display.terminal import escaped, note, show, terminal_width
from polyseme.storage.errors import UsageError

Format = Literal["table", "json", "jsonl", "csv", "parquet"]

_TABLE_ROWS = 5_000
"""Of a table in a file or a pipe."""
_SCREEN_ROWS = 200

_PLAIN_BYTES = frozenset(range(32, 127)) - set(b"\\'\"")
"""What DuckDB writes of bytes as they are."""


def write_table(table: pa.Table, form: Format) -> None:
    """Write `table` to stdout; its long texts go on below. Raises UsageError for Parquet on a terminal."""
    write_rows(table.to_reader(max_chunksize=1000), form, raw=False)


def write_rows(
    rows: pa.RecordBatchReader,
    form: Format,
    *,
    sideways: Sideways = "auto",
    raw: bool = True,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Write rows to stdout as they come, a table once it has all. Raises UsageError for Parquet on a terminal.

    A table is as wide as the terminal at most, and in a file or a pipe as wide as its values; see `drawn_table`.
    `ready` is called before anything is written, once the first rows are there.
    """
    if form == "table":
        head = head_of(rows, _TABLE_ROWS + 1)
        ready()
        if not rows.schema.names:
            show("Nothing.")
            return
        _show(head.slice(0, _TABLE_ROWS), sideways=sideways, raw=raw)
        if head.num_rows > _TABLE_ROWS:
            note(f"The first {_TABLE_ROWS:,} rows; --format csv, jsonl or parquet gives all.")
        return
    if form == "parquet":
        _refuse_terminal()
    batches = _from_the_first(rows, ready)
    if form == "parquet":
        names = distinct(rows.schema.names)
        schema = pa.schema([field.with_name(name) for field, name in zip(rows.schema, names, strict=True)])
        with pq.ParquetWriter(sys.stdout.buffer, schema) as writer:
            for batch in batches:
                writer.write_batch(batch.rename_columns(names))
    elif form == "csv":
        _write_csv(rows.schema, batches)
    else:
        _write_json(rows.schema, batches, lines=form == "jsonl")
    sys.stdout.flush()


def _from_the_first(rows: pa.RecordBatchReader, ready: Callable[[], None]) -> Iterable[pa.RecordBatch]:
    batches = iter(rows)
    first = list(islice(batches, 1))
    ready()
    return chain(first, batches)


def write_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.buffer.write(orjson.dumps(value, default=plain, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def _show(table: pa.Table, *, sideways: Sideways, raw: bool) -> None:
    width = terminal_width()
    columns = cell_columns(table, distinct([escaped(name) for name in table.column_names]))
    rows: list[int] = list(range(table.num_rows))
    if width is not None and len(rows) > _SCREEN_ROWS:
        rows = [*rows[: _SCREEN_ROWS // 2], -1, *rows[-_SCREEN_ROWS // 2 :]]
    drawing = draw(columns, rows, width, sideways=sideways, raw=raw)
    show("\n".join(drawing.lines))
    if -1 in rows:
        note(f"{table.num_rows:,} rows, {_SCREEN_ROWS} of them shown: WHERE and LIMIT choose others, a file has all.")
    if drawing.turned:
        note(f"Too wide for {width} columns, so each record is on its side.")


def distinct(names: list[str]) -> list[str]:
    """Return names of which none occurs twice: the second `text` is `text_2`."""
    given, found = set(names), dict[str, None]()
    for name in names:
        number, free = 2, name
        while free in found or (free in given and free != name):
            free, number = f"{name}_{number}", number + 1
        found[free] = None
    return list(found)


def head_of(rows: pa.RecordBatchReader, most: int) -> pa.Table:
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


def _write_json(schema: pa.Schema, rows: Iterable[pa.RecordBatch], *, lines: bool) -> None:
    out = sys.stdout.buffer
    names = distinct(schema.names)
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
