"""Results on stdout: as a table for people, or as JSON, JSON lines, CSV or Parquet for programs."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.errors import UsageError

Format = Literal["table", "json", "jsonl", "csv", "parquet"]

_FOLD_FROM = 8
"""Lists of this many numbers or more are shown as their first two and their length."""
_NO_LIMIT = 1_000_000
_TABLE_ROWS = 5_000
"""DuckDB's own printer stops at twice as many."""


def write_table(table: pa.Table, form: Format) -> None:
    """Write `table` to stdout. Raises UsageError for Parquet on a terminal."""
    write_rows(table.to_reader(max_chunksize=1000), form)


def write_rows(rows: pa.RecordBatchReader, form: Format) -> None:
    """Write rows to stdout as they come, a table once it has all. Raises UsageError for Parquet on a terminal."""
    if form == "table" and not rows.schema.names:
        print("Nothing.")  # noqa: T201
    elif form == "table":
        head = _head(rows, _TABLE_ROWS + 1)
        _show(head.slice(0, _TABLE_ROWS))
        if head.num_rows > _TABLE_ROWS:
            note = f"The first {_TABLE_ROWS:,} rows; --format csv, jsonl or parquet gives all."
            print(note, file=sys.stderr)  # noqa: T201
    elif form == "parquet":
        _refuse_terminal()
        with pq.ParquetWriter(sys.stdout.buffer, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
    elif form == "csv":
        _write_csv(rows.schema, rows)
    else:
        _write_json(rows, lines=form == "jsonl")
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.buffer.write(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def _show(table: pa.Table) -> None:
    import duckdb

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _NO_LIMIT
    with duckdb.connect() as con:
        con.register("answer", pa.table([_folded(c) for c in table.columns], names=_distinct(table.column_names)))
        shown = con.sql("FROM answer")
        rows = _TABLE_ROWS if not sys.stdout.isatty() else 200
        shown.show(max_width=width, max_rows=rows, max_col_width=width)


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


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return names if len(seen) == len(names) else [f"{name}_{i}" for i, name in enumerate(names)]


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
    writer.writerow(schema.names)
    for batch in rows:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    return orjson.dumps(value, default=_plain).decode() if isinstance(value, list | dict) else value


def _write_json(rows: Iterable[pa.RecordBatch], *, lines: bool) -> None:
    out = sys.stdout.buffer
    first = True
    for batch in rows:
        for row in batch.to_pylist():
            if not lines:
                out.write(b"[\n " if first else b",\n ")
            out.write(orjson.dumps(row, default=_plain) + (b"\n" if lines else b""))
            first = False
    if not lines:
        out.write(b"[]\n" if first else b"\n]\n")


def _plain(value: Any) -> Any:
    """Return a value that orjson does not know as one that it does.

    Decimals, such as any sum, become numbers with all their digits, sets lists, bytes hexadecimal, all else text.
    """
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value.hex() if isinstance(value, bytes) else str(value)
