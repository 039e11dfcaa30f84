"""SQL for the vectors of documents: a function that has them from kept sums, in place of reading every sentence."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from polyseme.storage.sql.topics import VECTOR_ROWS
from polyseme.tasks.arrays import Floats
from polyseme.tasks.sql.aggregates import Function
from polyseme.tasks.sql.columns import Column

Vectors = tuple[pa.Array, Floats]
"""The ids of documents, and their vectors `(documents, width)`."""


def document_vectors_function(read: Callable[[], Vectors], width: int) -> Function:
    """Return the function. It takes a number of no consequence, as one without parameters is not told how often.

    `read` is called once: a connection shows one state of its lake, and a query may ask several times.
    """
    kept = list[pa.ListArray]()

    def body(numbers: Column) -> pa.Array:
        if not kept:
            ids, vectors = read()
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), width)
            rows = pa.StructArray.from_arrays([ids, column], ["doc_id", "embedding"])
            kept.append(pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows))
        return kept[0].take(pa.array([0] * len(numbers), pa.int64()))

    return VECTOR_ROWS, body, ["BIGINT"], f"STRUCT(doc_id VARCHAR, embedding FLOAT[{width}])[]"
