"""Views of tables: live rows of parts as SQL, for each encoding, and what a view is without a row.

Pure functions. Knows DuckDB's dialect and which rows are live.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.schemas import ADDED, table_schema
from polyseme.storage.sql.literals import quote, quote_name
from polyseme.storage.sql.places import place_columns
from polyseme.storage.sql.row_places import HIDDEN, places_name
from polyseme.storage.sql.stored_vectors import decoded, lookup
from polyseme.storage.tiers import Layout

GUARD = f"{HIDDEN}.place"
"""The view without which no file is to be read, in a database that finds its parts where it is opened."""


def table_view(encoding: Encoding, table: str, files: str | None, corrections: set[str], *, guarded: bool) -> str:
    """Return the statement for the view of one table. `files` is SQL for the list of its parts, None for none."""
    width, layout = encoding.spec.width, encoding.layouts.of(table)
    view = quote_name(f"{table}_{encoding.name}")
    if files is None:
        return f"CREATE VIEW {view} AS {no_rows(table, width)}"
    moves = table == "documents" and "moved" in corrections
    columns = [_column(name, layout, moves=moves) for name in _shown(table)]
    if table == "documents":
        columns += place_columns("coalesce(m.uri, r.uri)" if moves else "r.uri")
    lines = [f"CREATE VIEW {view} AS", f"SELECT {', '.join(columns)}"]
    lines += _live_rows(encoding, table, rows_of(table, files), corrections)
    if "embedding" in _shown(table):
        lines += lookup(encoding, table, schema=HIDDEN)
    if moves:
        moved = f"(SELECT doc_id, version, uri FROM {HIDDEN}.moved WHERE {_is_of(encoding)})"
        lines.append(f"LEFT JOIN {moved} AS m ON r.doc_id = m.doc_id AND r.version = m.version")
    if guarded:
        lines.append(f"WHERE (SELECT is_here FROM {GUARD})")
    return "\n".join(lines)


def _live_rows(encoding: Encoding, table: str, rows: str, corrections: set[str]) -> Iterator[str]:
    """Yield the lines that take rows from parts as `r`, but those of documents that are replaced or gone."""
    yield f"FROM {rows} AS r"
    for name in ("superseded", "redescribed") if table == "documents" else ("superseded",):
        if name in corrections:
            hidden = f"(SELECT doc_id, version FROM {HIDDEN}.{name} WHERE {_is_of(encoding)})"
            yield f"ANTI JOIN {hidden} AS {name} ON r.doc_id = {name}.doc_id AND r.version = {name}.version"


def _is_of(encoding: Encoding) -> str:
    return f"encoding_id = {quote(encoding.encoding_id)}"


def places_view(encoding: Encoding, table: str, files: str | None, corrections: set[str]) -> str:
    """Return the statement for a table without its vectors and with `file` and `row`: where each vector is."""
    view = places_name(table, f"_{encoding.name}")
    if files is None:
        return f"CREATE VIEW {view} AS {no_places(table)}"
    columns = [f"r.{name}" for name in _shown(table) if name != "embedding"]
    columns += ["r.filename AS file", "r.file_row_number AS row"]
    rows = _live_rows(encoding, table, rows_of(table, files, places=True), corrections)
    return "\n".join([f"CREATE VIEW {view} AS", f"SELECT {', '.join(columns)}", *rows])


def default_places(table: str, default: Encoding | None) -> str:
    rows = no_places(table) if default is None else f"FROM {places_name(table, f'_{default.name}')}"
    return f"CREATE VIEW {places_name(table, '')} AS {rows}"


def no_places(table: str) -> str:
    """Return SQL for the columns of such a view without a row."""
    return f"SELECT * EXCLUDE (embedding), NULL::VARCHAR AS file, NULL::BIGINT AS row FROM ({no_rows(table, None)})"


def rows_of(table: str, files: str, *, places: bool = False) -> str:
    """Return SQL for the rows of some parts, with NULL in the columns that older parts lack.

    With `places` they have the columns `filename` and `file_row_number`.
    """
    # Without hive_partitioning off, the folder's name `encoding=...` would become a column.
    options = "hive_partitioning = false" + (", filename = true, file_row_number = true" if places else "")
    if table not in ADDED:
        return f"read_parquet({files}, {options})"
    schema = table_schema(table, 1)
    nulls = ", ".join(f"NULL::{_sql_type(schema.field(name).type, None)} AS {name}" for name in ADDED[table])
    parts = f"read_parquet({files}, {options}, union_by_name = true)"
    return f"(SELECT {nulls} WHERE false UNION ALL BY NAME FROM {parts})"


def _column(name: str, layout: Layout, *, moves: bool) -> str:
    if name == "embedding":
        return f"{decoded(layout)} AS embedding"
    if name == "uri" and moves:
        return "coalesce(m.uri, r.uri) AS uri"
    return f"r.{name}"


def _shown(table: str) -> list[str]:
    """Return a view's columns. The version is internal; only `documents` shows it."""
    return [name for name in table_schema(table, 1).names if name != "version" or table == "documents"]


def no_rows(table: str, width: int | None) -> str:
    """Return SQL for a view's columns without a row."""
    schema = table_schema(table, width or 1)
    columns = [f"NULL::{_sql_type(schema.field(name).type, width)} AS {name}" for name in _shown(table)]
    columns += place_columns("NULL::VARCHAR") if table == "documents" else []
    return f"SELECT {', '.join(columns)} WHERE false"


def _sql_type(type_: pa.DataType, width: int | None) -> str:
    """Return the DuckDB type that a column of a part reads as."""
    if pa.types.is_fixed_size_list(type_):
        return "FLOAT[]" if width is None else f"FLOAT[{width}]"
    if pa.types.is_list(type_):
        return "VARCHAR[]"
    scalars: dict[Any, str] = {
        pa.string(): "VARCHAR",
        pa.large_string(): "VARCHAR",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float32(): "FLOAT",
        pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    }
    return scalars[type_]
