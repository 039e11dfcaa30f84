"""Descriptions of the views: every column has one, and plain DuckDB shows them in the published file."""

from __future__ import annotations

from pathlib import Path

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.descriptions import VIEWS, described
from polyseme.storage.sql.publish import PUBLISHED, publish
from tests import embedded_lakes

_COLUMNS = "FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main'"


def test_every_column_of_every_view_is_described_and_nothing_else(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents({"one": "The bank."}))
    with connect(lake, functions=lambda *_: None) as con:
        rows = con.execute(f"SELECT table_name, list(column_name) {_COLUMNS} GROUP BY ALL").fetchall()
    for view, columns in rows:
        about = described(view, ["polyseme_mini"])
        assert about is not None
        assert set(about.columns) == set(columns)
    assert {view for view, _ in rows} >= set(VIEWS)


def test_the_published_file_has_the_descriptions_as_comments(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents({"one": "The bank."}))
    with Catalog.open(lake) as catalog:
        publish(catalog)
    with duckdb.connect(str(tmp_path / "lake" / PUBLISHED), read_only=True) as con:
        found = con.execute(f"SELECT comment {_COLUMNS} AND table_name IN ('sentences', 'runs')").fetchall()
        views = con.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'sentences'").fetchall()
    assert all(comment for (comment,) in found)
    assert views == [(VIEWS["sentences"].row,)]
