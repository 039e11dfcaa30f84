"""Exports read back as users read them: each with the library of its format, as rows in the order of their keys."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.tasks.exports.folders import MARK
from tests.extras import require

Row = dict[str, Any]
NOT_SHOWN = "doc_state"


def npy(out: Path) -> list[Row]:
    vectors = np.load(out / "vectors.npy", mmap_mode="r")
    return _with_vectors(pq.read_table(out / "rows.parquet"), np.asarray(vectors))


def faiss(out: Path) -> list[Row]:
    require("faiss", "faiss")
    import faiss

    index = faiss.read_index(str(out / "index.faiss"))
    return _with_vectors(pq.read_table(out / "rows.parquet"), index.reconstruct_n(0, index.ntotal))


def lance(out: Path) -> list[Row]:
    require("lance", "lance")
    import lance

    dataset = lance.dataset(str(out))
    dataset.validate()
    return _ordered(dataset.to_table())


def hf_dataset(out: Path) -> list[Row]:
    require("datasets", "parity")
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        table = datasets.load_dataset(str(out), split="train", cache_dir=cache).with_format("arrow")[:]
    assert table.schema.field("embedding").type.list_size == 4
    return _ordered(table)


def delta(out: Path) -> list[Row]:
    require("deltalake", "delta")
    import deltalake

    return _ordered(deltalake.DeltaTable(str(out)).to_pyarrow_table())


def qdrant(out: Path) -> list[Row]:
    require("qdrant_client", "qdrant")
    from qdrant_client import QdrantClient

    with closing(QdrantClient(path=str(out))) as client:
        (collection,) = client.get_collections().collections
        points, _ = client.scroll(collection.name, limit=1000, with_vectors=True)
    found = []
    for point in points:
        assert point.payload is not None
        row = {**point.payload, "embedding": point.vector}
        del row[NOT_SHOWN]
        row["metadata"] = json.dumps(row["metadata"], separators=(",", ":"))
        row |= {name: datetime.fromisoformat(row[name]) for name in ("ingested_at", "modified_at") if row.get(name)}
        found.append(row)
    return in_order(found)


def atlas(out: Path) -> list[Row]:
    require("pandas", "frames")
    import pandas as pd

    plain = pd.read_parquet(out / "atlas.parquet")  # as embedding-atlas does
    assert np.stack(list(plain["embedding"])).shape == (len(plain), 4)
    assert plain["id"].is_unique
    assert plain["id"].str.len().max() <= 36
    frame = pd.read_parquet(out / "atlas.parquet", dtype_backend="pyarrow")
    rows: list[Row] = pa.Table.from_pandas(frame.drop(columns="id"), preserve_index=False).to_pylist()
    return rows


READERS: dict[str, Callable[[Path], list[Row]]] = {
    "npy": npy,
    "faiss": faiss,
    "lance": lance,
    "hf-dataset": hf_dataset,
    "delta": delta,
    "qdrant": qdrant,
    "atlas": atlas,
}
"""Of formats in a folder."""
LIBRARIES = {
    "faiss": ("faiss", "faiss"),
    "lance": ("lance", "lance"),
    "hf-dataset": ("datasets", "parity"),
    "delta": ("deltalake", "delta"),
    "qdrant": ("qdrant_client", "qdrant"),
    "atlas": ("pandas", "frames"),
}
"""The package that a format needs and the extra that has it."""
UNIT = ("faiss", "qdrant")
"""Formats whose vectors have length 1."""


@dataclass(frozen=True)
class FolderTarget:
    """A folder to export to."""

    format: str
    path: Path

    @property
    def out(self) -> str:
        return str(self.path)

    def rows(self) -> list[Row]:
        return READERS[self.format](self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def mark(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / MARK).read_text("utf-8"))
        return found

    def stamps(self) -> object:
        """Return what changes when anything is written."""
        return {path: path.stat().st_mtime_ns for path in self.path.rglob("*")}


@dataclass(frozen=True)
class TableTarget:
    """A table on a PostgreSQL server to export to."""

    format: str
    server: str
    table: str

    @property
    def out(self) -> str:
        where = urlsplit(self.server)
        return f"postgresql://{where.hostname}:{where.port}{where.path}?table={self.table}"

    def rows(self) -> list[Row]:
        with self._connected() as connection:
            from pgvector.psycopg import register_vector
            from psycopg.types.json import set_json_loads

            register_vector(connection)
            set_json_loads(lambda text: bytes(text).decode(), connection)
            cursor = connection.execute(f"SELECT * FROM {self.table}")
            names = [column.name for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in found:
            row["embedding"] = row["embedding"].to_list() if hasattr(row["embedding"], "to_list") else row["embedding"]
            del row[NOT_SHOWN]
        return in_order(found)

    def exists(self) -> bool:
        return self.value(f"SELECT to_regclass('{self.table}') IS NOT NULL")

    def mark(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.value(f"SELECT obj_description('{self.table}'::regclass)"))
        return found

    def stamps(self) -> object:
        return self.value(f"SELECT array_agg(xmin::text ORDER BY ctid) FROM {self.table}"), self.mark()

    def value(self, query: str) -> Any:
        with self._connected() as connection:
            return connection.execute(query).fetchone()[0]

    def _connected(self) -> Any:
        import psycopg

        return psycopg.connect(self.server.replace("+psycopg", ""))


def in_order(rows: list[Row]) -> list[Row]:
    """Return rows by their keys."""
    return sorted(rows, key=lambda row: [row.get(name, 0) for name in ("doc_id", "sentence_index", "word_index")])


def _with_vectors(rows: pa.Table, vectors: np.ndarray[Any, Any]) -> list[Row]:
    assert len(rows) == len(vectors)
    return [row | {"embedding": vector.tolist()} for row, vector in zip(rows.to_pylist(), vectors, strict=True)]


def _ordered(table: pa.Table) -> list[Row]:
    return in_order(table.drop_columns([NOT_SHOWN]).to_pylist())
