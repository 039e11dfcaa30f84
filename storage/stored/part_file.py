"""A part opened to take some documents out of it: which of its rows are theirs, and the columns of these rows.

Only row groups that can hold one of the documents, by the statistics of their ids, are read at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.parquet.row_columns import columns_of_rows
from polyseme.storage.parquet.vector_column import RowNumbers
from polyseme.storage.schemas import table_schema
from polyseme.storage.tiers import Halves

Versions = npt.NDArray[np.int64]


class PartFile:
    """One part of `table` with vectors of `width` dimensions. Use it as a context manager.

    Raises OSError, KeyError, ValueError or pa.ArrowException for a damaged file, here and in its methods.
    """

    def __init__(self, path: Path, table: str, width: int) -> None:
        with ExitStack() as opened:
            self._file = opened.enter_context(pq.ParquetFile(path, read_dictionary=["doc_id"]))
            raw = opened.enter_context(path.open("rb"))
            self._vectors = PartVectors(self._file, raw, width)
            self._schema = table_schema(table, width, self._vectors.layout.tier)
            self._closing = opened.pop_all()

    def find(self, doc_ids: Sequence[str], versions: Versions) -> tuple[RowNumbers, RowNumbers]:
        """Return the rows of document `doc_ids[i]`, sorted, in its version `versions[i]`, and the `i` of each row."""
        wanted = pa.array(doc_ids, pa.string())
        rows, owners, first = [], [], 0
        for group in range(self._file.metadata.num_row_groups):
            if self._can_hold(group, doc_ids):
                found, owner = self._find_in(group, wanted, versions)
                rows.append(found + first)
                owners.append(owner)
            first += self._file.metadata.row_group(group).num_rows
        nothing = np.empty(0, np.int64)
        return np.concatenate([nothing, *rows]), np.concatenate([nothing, *owners])

    def columns(self, names: Sequence[str], rows: RowNumbers) -> dict[str, npt.NDArray[Any]]:
        """Return columns of some rows, in their order; NULL, NaN for numbers, where an old part has no such column."""
        there = [name for name in names if name in self._file.schema_arrow.names]
        joined = columns_of_rows(self._file, rows, there) if there else None
        return {name: self._values(name, joined, len(rows)) for name in names}

    def vectors(self, rows: RowNumbers) -> Halves:
        """Return `(len(rows), width)`: the vectors of some rows, in the order given."""
        return self._vectors.rows(rows)

    def _values(self, name: str, table: pa.Table | None, rows: int) -> npt.NDArray[Any]:
        kind = self._schema.field(name).type
        if table is None or name not in table.column_names:
            column = pa.nulls(rows, kind)
        else:
            column = table[name].cast(kind).combine_chunks()
        values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values

    def _can_hold(self, group: int, doc_ids: Sequence[str]) -> bool:
        statistics = self._file.metadata.row_group(group).column(0).statistics
        if statistics is None or not statistics.has_min_max:
            return True
        at = bisect_left(doc_ids, statistics.min)
        return at < len(doc_ids) and doc_ids[at] <= statistics.max

    def _find_in(self, group: int, wanted: pa.Array, versions: Versions) -> tuple[RowNumbers, RowNumbers]:
        keys = self._file.read_row_group(group, columns=["doc_id", "version"])
        owners = []
        for ids in keys["doc_id"].chunks:
            of_id = pc.index_in(ids.dictionary.cast(pa.string()), wanted).fill_null(-1).to_numpy()
            owners.append(of_id[ids.indices.to_numpy()])
        owner = np.concatenate([np.empty(0, np.int64), *owners]).astype(np.int64)
        rows = np.flatnonzero(owner >= 0)
        rows = rows[keys["version"].to_numpy()[rows] == versions[owner[rows]]]
        return rows, owner[rows]

    def __enter__(self) -> PartFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()
