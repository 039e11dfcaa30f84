"""Targets: what every format does, so that an export can be written into it and be brought up to date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.errors import UsageError
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import STATE, VECTOR, DocumentState, States

MIXED = "mixed"
"""The state of a document with rows of several: a write of it did not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Rows to write, and documents whose rows in the target go first, those that are replaced included.

    With `whole` the rows are all that the target shall have.
    """

    schema: pa.Schema
    rows: Iterator[pa.RecordBatch]
    gone: frozenset[str]
    whole: bool


class Target(Protocol):
    """A place with an export of one format, locked for this process.

    One that is not `incremental` is written as a whole at every change.
    """

    incremental: bool

    def mark(self) -> Mark | None:
        """Return what the target remembers; None if there is nothing yet. Raises UsageError for what is no export."""

    def states(self) -> States:
        """Return which documents' rows the target has. Asked of incremental ones alone."""

    def write(self, change: Change, mark: Mark) -> None:
        """Make the change and remember `mark`: until all is done the target is as before, or its mark not complete."""

    def remember(self, mark: Mark) -> None:
        """Remember that the target is as it shall be already."""

    def size(self) -> int | None:
        """Return how many bytes the target takes; None if it cannot be told."""

    def __str__(self) -> str:
        """Name the target in messages, without what may be secret."""


def states_of(rows: Iterable[pa.RecordBatch | pa.Table]) -> dict[str, DocumentState]:
    """Return the states of documents by the columns `doc_id` and `doc_state` of their rows."""
    found: dict[str, DocumentState] = {}
    for batch in rows:
        table = pa.table({name: _plain(batch[name]) for name in ("doc_id", STATE)})
        counted = table.group_by(["doc_id", STATE]).aggregate([([], "count_all")])
        columns = (counted[name].to_pylist() for name in ("doc_id", STATE, "count_all"))
        for name, state, count in zip(*columns, strict=True):
            before = found.get(name)
            if before is None:
                found[name] = DocumentState(state, count)
            else:
                same = state if state == before.state else MIXED
                found[name] = DocumentState(same, before.rows + count)
    return found


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.cast(column, pa.string())


def numbers_of(batch: pa.RecordBatch) -> npt.NDArray[np.floating]:
    """Return the vectors of a batch as `(rows, width)`."""
    numbers: npt.NDArray[np.floating] = batch.column(VECTOR).flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(batch.num_rows, -1)


def row_ids(rows: pa.RecordBatch, keys: Sequence[str]) -> list[str]:
    """Return a UUID for each row, which follows from its keys."""
    values = zip(*(rows[key].to_pylist() for key in keys), strict=True)
    return [str(uuid5(NAMESPACE_URL, json.dumps(row))) for row in values]


def needs(what: str, extra: str, error: ImportError) -> UsageError:
    """Return the error about a library of an extra that is not installed."""
    return UsageError(
        f"An export to {what} needs a package that is not installed: {error}. Install it: "
        f"pip install 'polyseme[{extra}]'."
    )
