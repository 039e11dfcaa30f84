"""SQL functions over stored vectors and margins: senses, distances, breaks and order. They need no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from polyseme.tasks.analysis.drift import pairwise_distance, prototype_distance, spread
from polyseme.tasks.analysis.order import order_score
from polyseme.tasks.analysis.segmentation import Scale, breaks
from polyseme.tasks.analysis.senses import find_senses, load_clustering, sense_map
from polyseme.tasks.arrays import Floats

Function: TypeAlias = tuple[str, Callable[..., pa.Array], list[Any], str]
"""Name, implementation over columns, SQL types of the parameters, SQL type of the result."""

_SENSE = {
    "sense": pa.int32(),
    "typicality": pa.float64(),
    "silhouette": pa.float64(),
    "x": pa.float64(),
    "y": pa.float64(),
}
_BREAK = {"depth": pa.float64(), "is_break": pa.bool_(), "gain": pa.float64()}
_SQL_TYPES = {
    pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN", pa.string(): "VARCHAR",
    pa.list_(pa.float64()): "DOUBLE[]",
}  # fmt: skip


def vector_functions(width: int, unconfined: Callable[[Callable[[], None]], None]) -> Iterator[Function]:
    """Yield the functions over lists of vectors of `width` dimensions.

    `unconfined` makes a call in a thread that may write files: scikit-learn's import makes a semaphore.
    """
    vectors = f"FLOAT[{width}][]"
    two = [vectors, vectors]
    senses = pa.list_(pa.struct(list(_SENSE.items())))

    def cluster_senses(lists: pa.ChunkedArray) -> pa.Array:
        unconfined(load_clustering)
        return _per_row(_senses, senses)(lists)

    def cluster_senses_in(lists: pa.ChunkedArray, sentences: pa.ChunkedArray) -> pa.Array:
        unconfined(load_clustering)
        return _per_rows(_senses, senses)(lists, sentences)

    yield "cluster_senses", cluster_senses, [vectors], sql_type(_SENSE)
    yield "cluster_senses_in", cluster_senses_in, two, sql_type(_SENSE)
    yield "vector_spread", _per_row(_number(spread), pa.float64()), [vectors], "DOUBLE"
    mean = _per_row(lambda rows: rows.mean(axis=0) if len(rows) else None, pa.list_(pa.float32(), width))
    yield "mean_vector", mean, [vectors], f"FLOAT[{width}]"
    yield "pairwise_distance", _per_rows(_number(pairwise_distance), pa.float64()), two, "DOUBLE"
    yield "prototype_distance", _per_rows(_number(prototype_distance), pa.float64()), two, "DOUBLE"
    yield "order_score", _per_row(_number(order_score), pa.float64()), [vectors], "DOUBLE"
    yield "find_breaks", _breaks, [vectors, "DOUBLE[]", "DOUBLE", "DOUBLE"], sql_type(_BREAK)


def sql_type(fields: dict[str, pa.DataType]) -> str:
    """Return DuckDB's type of a list of records."""
    return f"STRUCT({', '.join(f'{name} {_SQL_TYPES[kind]}' for name, kind in fields.items())})[]"


def _senses(vectors: Floats, sentences: Floats | None = None) -> list[dict[str, object]]:
    found, places = find_senses(vectors, sentences), sense_map(vectors)
    silhouette = None if np.isnan(found.silhouette) else found.silhouette
    rows = zip(found.sense.tolist(), found.typicality.tolist(), places.tolist(), strict=True)
    return [{"sense": s, "typicality": t, "silhouette": silhouette, "x": x, "y": y} for s, t, (x, y) in rows]


def _breaks(
    vectors: pa.ChunkedArray, margins: pa.ChunkedArray, unrelated: pa.ChunkedArray, related: pa.ChunkedArray
) -> pa.Array:
    """Return the steps of each document. The margin of its last sentence, which has no next one, is not read."""
    rows: list[list[dict[str, object]] | None] = []
    others = (column.to_pylist() for column in (margins, unrelated, related))
    for sentences, scores, *cosines in zip(matrices(vectors), *others, strict=True):
        if sentences is None or scores is None:
            rows.append(None)
            continue
        known = np.array([np.nan if m is None else m for m in scores[: len(sentences) - 1]], np.float64)
        found = breaks(known, sentences, Scale(*(np.nan if cosine is None else cosine for cosine in cosines)))
        columns = zip(found.depth.tolist(), found.is_break.tolist(), found.gain.tolist(), strict=True)
        rows.append([dict(zip(_BREAK, step, strict=True)) for step in columns])
    return pa.array(rows, pa.list_(pa.struct(list(_BREAK.items()))))


def _number(of: Callable[..., float]) -> Callable[..., float | None]:
    def number(*groups: Floats) -> float | None:
        found = of(*groups)
        return None if np.isnan(found) else found

    return number


def _per_row(of: Callable[[Floats], object], kind: pa.DataType) -> Callable[..., pa.Array]:
    def body(lists: pa.ChunkedArray) -> pa.Array:
        return pa.array([None if row is None else of(row) for row in matrices(lists)], kind)

    return body


def _per_rows(of: Callable[[Floats, Floats], object], kind: pa.DataType) -> Callable[..., pa.Array]:
    def body(first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.Array:
        pairs = zip(matrices(first), matrices(second), strict=True)
        return pa.array([None if a is None or b is None else of(a, b) for a, b in pairs], kind)

    return body


def matrices(lists: pa.ChunkedArray) -> Iterator[Floats | None]:
    """Yield `(vectors, width)` for each row, None for NULL. As Python floats a frequent word would take gigabytes."""
    for chunk in lists.chunks:
        width = chunk.type.value_type.list_size
        for row in chunk:
            if not row.is_valid:
                yield None
                continue
            numbers: Floats = row.values.flatten().to_numpy(zero_copy_only=False)
            yield numbers.reshape(-1, width)
