"""The lake that is exported, and its rows as they are to be read back."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.tasks.exports.export import Exported, Request, opened_export
from tests import lakes
from tests.tasks.exports.read_back import UNIT, FolderTarget, Row, TableTarget

TEXTS = {
    "alpha": ["The bank is closed.", "Nobody came."],
    "beta": ["A river has two banks."],
    "gamma": ["She rowed.", "He slept.", "It rained."],
}
SPEC = lakes.make_spec()
Target: TypeAlias = FolderTarget | TableTarget


def export(catalog: Catalog, target: Target, **more: Any) -> Exported:
    with opened_export(catalog.lake, Request(format=target.format, out=target.out, **more)) as work:  # type: ignore[arg-type]
        return work.run()


def expected(lake: Lake, format: str, table: str = "sentences", where: str = "true", suffix: str = "") -> list[Row]:
    """Return the rows of the lake's views, with what every export adds of the document."""
    document = "SELECT doc_id, uri, title, metadata FROM documents"
    with connect(lake, functions=lambda *_: None) as con:
        con.execute("SET timezone = 'UTC'")
        if table == "documents":
            mean = ", ".join(f"avg(embedding[{i}])" for i in range(1, 5))
            means = f"SELECT doc_id, [{mean}]::FLOAT[4] AS embedding FROM sentences GROUP BY doc_id"
            sql = f"SELECT * EXCLUDE (version, path, filename, extension) FROM documents JOIN ({means}) USING (doc_id)"
        else:
            sql = f"FROM {table}{suffix} JOIN ({document}) USING (doc_id)"
        wanted = f"SEMI JOIN (SELECT doc_id FROM documents WHERE {where}) USING (doc_id)"
        rows = con.sql(f"FROM ({sql}) {wanted} ORDER BY ALL").to_arrow_table().to_pylist()
    for row in rows:
        if format in UNIT:
            vector = np.array(row["embedding"], np.float32)
            row["embedding"] = (vector / np.linalg.norm(vector)).tolist()
    return rows


def assert_same(found: list[Row], rows: list[Row], *, exact: bool = True) -> None:
    assert [{**row, "embedding": None} for row in found] == [{**row, "embedding": None} for row in rows]
    ours, theirs = (np.array([row["embedding"] for row in each]) for each in (found, rows))
    np.testing.assert_allclose(ours, theirs, rtol=0 if exact else 1e-6, atol=0 if exact else 1e-7)
