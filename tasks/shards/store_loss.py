"""What storing vectors in less than float16 costs, measured on the first vectors of a lake that are stored so."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.records import Part, StoreLoss
from polyseme.storage.tiers import SCALE, Layout
from polyseme.tasks.arrays import unit

MOST_VECTORS = 2000
"""What is measured is kept once it is of so many; until then that of more vectors replaces it."""
_QUERIES = 200
_NEAREST = 10
_TIE = 1e-6


def unmeasured(encoding: Encoding) -> list[str]:
    """Return the tables of an encoding whose loss is to be measured: `sentences` and `words`, if it has any."""
    return [
        table
        for table in ("sentences", "words")
        if encoding.layouts.of(table).tier != "float16"
        and (table not in encoding.losses or encoding.losses[table].vectors < MOST_VECTORS)
    ]


def record_losses(catalog: Catalog, encoding: Encoding, tables: Mapping[str, pa.Table], parts: list[Part]) -> None:
    """Measure and record the losses of new `tables`, with vectors in float16; `parts` are what they were written to."""
    for name, rows in tables.items():
        part = next((part for part in parts if part.table == name), None)
        if part is None or rows.num_rows < 2:
            continue
        width = encoding.spec.width
        flat = rows["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        with catalog.lake.files.fetched(part.path) as path, pq.ParquetFile(path) as file:
            size = stored_bytes(file) / max(part.rows, 1)
        found = loss(flat.reshape(-1, width), encoding.layouts.of(name), bytes_a_vector=size)
        catalog.record_store_loss(encoding.encoding_id, name, found)


def stored_bytes(file: pq.ParquetFile) -> int:
    """Return the bytes that the vectors of a part take in its file."""
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    columns = (group.column(i) for group in groups for i in range(group.num_columns))
    names = {"embedding", SCALE}
    return sum(c.total_compressed_size for c in columns if c.path_in_schema.split(".", 1)[0] in names)


def loss(vectors: npt.NDArray[np.float16], layout: Layout, *, bytes_a_vector: float) -> StoreLoss:
    """Compare vectors `(rows, width)`, at least two of them, with what they read as once they are stored."""
    some = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_VECTORS)).astype(int)]
    exact, read = (unit(rows.astype(np.float32)) for rows in (some, layout.rounded(some)))
    cosines = np.einsum("ij,ij->i", exact, read)
    queries = np.linspace(0, len(some) - 1, min(len(some), _QUERIES)).astype(int)
    return StoreLoss(
        vectors=len(some),
        bytes_a_vector=bytes_a_vector,
        cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        recall_at_10=recall(exact, read, queries),
    )


def recall(exact: npt.NDArray[np.float32], read: npt.NDArray[np.float32], queries: npt.NDArray[np.int64]) -> float:
    """Return the share of the ten nearest of `read`, by `exact` questions, that are of the ten nearest of `exact`.

    Both are `(rows, width)` of length 1. A row as near as the tenth is one of them: sentences repeat.
    """
    k = min(_NEAREST, len(exact) - 1)
    true, found = (exact[queries] @ rows.T for rows in (exact, read))
    for similarities in (true, found):
        similarities[np.arange(len(queries)), queries] = -2
    least = np.partition(true, -k, axis=1)[:, -k]
    chosen = np.argpartition(-found, k - 1, axis=1)[:, :k]
    return float((np.take_along_axis(true, chosen, 1) >= least[:, None] - _TIE).mean())
