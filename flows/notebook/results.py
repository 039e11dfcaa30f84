"""Results: rows of a lake that are read when they are first used, once, and kept; so all columns are of the same rows.

As pandas, Polars, Arrow, NumPy or PyTorch, and shown as a table of the first rows. Knows no SQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.flows.display.drawn_table import draw
from polyseme.flows.display.table_cells import cell_columns
from polyseme.flows.notebook.lake_html import document_html, table_html
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.vectors import vectors

if TYPE_CHECKING:
    import torch

_SHOWN_ROWS = 10
_WIDTH = 110
"""Characters of a line in a plain session, which says nothing of its width."""


class Result:
    """Rows in one order. `read` returns them all; `count` and `head` know as much without reading them."""

    def __init__(
        self,
        read: Callable[[], pa.Table],
        *,
        count: Callable[[], int] | None = None,
        head: Callable[[int], pa.Table] | None = None,
    ) -> None:
        self._read, self._count, self._head = read, count, head
        self._table: pa.Table | None = None
        self._lock = threading.Lock()

    def arrow(self) -> pa.Table:
        """Return the rows as a table of Arrow."""
        with self._lock:
            if self._table is None:
                self._table = self._read()
            return self._table

    def df(self) -> Any:
        """Return the rows as a data frame of pandas; a cell with a vector is a NumPy array."""
        _require("pandas")
        return self.arrow().to_pandas()

    def pl(self) -> Any:
        """Return the rows as a data frame of Polars; vectors are of the type Array."""
        return _require("polars").from_arrow(self.arrow())

    def numpy(self, column: str = "embedding") -> npt.NDArray[np.float32]:
        """Return the vectors as a matrix `(rows, width)`, in the order of the rows: a copy that may be written to."""
        return vectors(self.arrow(), column)

    def torch(self, column: str = "embedding") -> torch.Tensor:
        """Return the vectors as a tensor `(rows, width)`, in the order of the rows."""
        import torch

        return torch.from_numpy(self.numpy(column))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._first(0).column_names)

    def __len__(self) -> int:
        if self._table is None and self._count is not None:
            return self._count()
        return int(self.arrow().num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.arrow().to_batches(max_chunksize=1000):
            yield from batch.to_pylist()

    def __repr__(self) -> str:
        first = self._first(_SHOWN_ROWS)
        columns = cell_columns(first, first.column_names)
        lines = draw(columns, range(first.num_rows), _WIDTH, sideways="auto").lines
        return "\n".join([*lines, _of(first.num_rows, len(self))])

    def _repr_html_(self) -> str:
        first = self._first(_SHOWN_ROWS)
        return table_html(cell_columns(first, first.column_names), first.num_rows, _of(first.num_rows, len(self)))

    def _first(self, rows: int) -> pa.Table:
        if self._table is None and self._head is not None:
            return self._head(rows)
        return self.arrow().slice(0, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """One document of a lake; `fields` are all columns of its row."""

    doc_id: str
    title: str | None
    text: str
    fields: dict[str, Any]
    sentences: Result

    def _repr_html_(self) -> str:
        return document_html(self.title or self.doc_id, str(self.fields["uri"]), self.text)


def _of(shown: int, rows: int) -> str:
    counted = f"{rows:,} row" if rows == 1 else f"{rows:,} rows"
    return counted if shown == rows else f"the first {shown} of {counted}"


def _require(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"This needs {package}: pip install {package}, or 'polyseme[frames]'.") from error
