"""The tables of a page for programs: as JSON, CSV or Parquet, under the page's address with another ending."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import BytesIO, StringIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.flows.display.output import distinct, plain, values, written
from polyseme.flows.explorer.page import AbsentError, Content, Parameters


def as_json(content: Content, parameters: Parameters) -> bytes:
    """Return all tables of a page, or the one that `table` names."""
    wanted = {parameters.text("table"): _chosen(content, parameters)} if parameters.text("table") else content.tables
    return orjson.dumps({name: _rows(table) for name, table in wanted.items()}, default=plain) + b"\n"


def as_csv(content: Content, parameters: Parameters) -> bytes:
    """Return the first table of a page, or the one that `table` names."""
    table = _chosen(content, parameters)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(distinct(table.column_names))
    for batch in table.to_batches():
        writer.writerows([written(value) for value in row] for row in zip(*map(values, batch.columns), strict=True))
    return out.getvalue().encode()


def as_parquet(content: Content, parameters: Parameters) -> bytes:
    """Return the first table of a page, or the one that `table` names."""
    table = _chosen(content, parameters)
    out = BytesIO()
    pq.write_table(table.rename_columns(distinct(table.column_names)), out)
    return out.getvalue()


TWINS: dict[str, tuple[str, Callable[[Content, Parameters], bytes]]] = {
    "json": ("application/json", as_json),
    "csv": ("text/csv; charset=utf-8", as_csv),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
}
"""Ending of the address, media type, and what makes it."""


def _chosen(content: Content, parameters: Parameters) -> pa.Table:
    name = parameters.text("table", next(iter(content.tables)))
    if name not in content.tables:
        raise AbsentError(f"This page has no table {name[:40]!r}, but {', '.join(content.tables)}.")
    return content.tables[name]


def _rows(table: pa.Table) -> list[dict[str, object]]:
    names = distinct(table.column_names)
    return [
        dict(zip(names, row, strict=True))
        for batch in table.to_batches()
        for row in zip(*map(values, batch.columns), strict=True)
    ]
