"""Exports read back as users read them: each with the library of its format, as rows in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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


READERS: dict[str, Callable[[Path], list[Row]]] = {"npy": npy, "faiss": faiss, "lance": lance}
LIBRARIES = {"faiss": ("faiss", "faiss"), "lance": ("lance", "lance")}
"""The package that a format needs and the extra that has it."""
UNIT = ("faiss",)
"""Formats whose vectors have length 1."""


def _with_vectors(rows: pa.Table, vectors: np.ndarray[Any, Any]) -> list[Row]:
    assert len(rows) == len(vectors)
    return [row | {"embedding": vector.tolist()} for row, vector in zip(rows.to_pylist(), vectors, strict=True)]


def _ordered(table: pa.Table) -> list[Row]:
    rows = table.drop_columns([NOT_SHOWN]).to_pylist()
    return sorted(rows, key=lambda row: [row.get(name, 0) for name in ("doc_id", "sentence_index", "word_index")])
