"""Merging: the rows of several sorted parts as one sorted stream, without dead rows and with moves applied.

The keys of all rows are in memory at once (tens of bytes a row), of all other columns about a row group of every part.
Knows neither which parts to merge nor what becomes of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, Table, select

from polyseme.storage.database import deletions
from polyseme.storage.database.arrow import read_table
from polyseme.storage.database.schema import moved, redescribed, superseded
from polyseme.storage.errors import PolysemeError
from polyseme.storage.parts import ROW_GROUP_ROWS, LocalParts
from polyseme.storage.records import Part, Store
from polyseme.storage.schemas import SORT_KEYS, table_schema

RowNumbers = npt.NDArray[np.int64]
_BUFFER_BYTES = 1 << 18
_ROWS_AHEAD = 1024
"""Rows read ahead of every part: 1.5 row groups in memory, against three with whole column chunks."""
_SEPARATOR = "\0"
"""A character that no document id contains."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections of one encoding's rows: `hidden(doc_id, version)` and `moved(doc_id, version, uri)`.

    `redescribed(doc_id, version)` are hidden in the table `documents` alone, for good. `dead` are those of the hidden
    versions that nothing can show again, so that a merge drops their rows.
    """

    hidden: pa.Table
    redescribed: pa.Table
    moved: pa.Table
    dead: pa.Table

    def dead_in(self, table: str) -> pa.Table:
        """Return the versions whose rows in a table nothing can show again."""
        if table != "documents" or not self.redescribed.num_rows:
            return self.dead
        return pa.concat_tables([self.dead, self.redescribed])

    @staticmethod
    def read(connection: Connection, encoding_id: str) -> Corrections:
        """Return an encoding's corrections, in the connection's transaction."""

        def mine(table: Table, *more: str) -> pa.Table:
            columns = (table.c[name] for name in ("doc_id", "version", *more))
            return read_table(connection, select(*columns).where(table.c.encoding_id == encoding_id))

        hidden = mine(superseded)
        restorable = deletions.restorable_versions(connection, encoding_id)
        dead = hidden
        if restorable.num_rows:
            dead = hidden.filter(pc.invert(pc.is_in(_versions(hidden), value_set=_versions(restorable))))
        return Corrections(hidden, mine(redescribed), mine(moved, "uri"), dead)


@dataclass(frozen=True, slots=True)
class MergedRows:
    """The number of merged rows, the rows in order, and the moves `(doc_id, version, uri)` applied to them."""

    rows: int
    batches: Iterator[pa.RecordBatch]
    moves_applied: list[tuple[str, int, str]]


def merged_rows(
    parts: Sequence[Part], files: LocalParts, corrections: Corrections, *, width: int, store: Store = "float16"
) -> MergedRows:
    """Merge parts of one table, read from `files`, with vectors as they are stored.

    Raises PolysemeError if one is not in order or lacks rows.
    """
    table = parts[0].table
    keys = pa.concat_tables(
        [_read(files[part.path], [*SORT_KEYS[table], "version"]) for part in parts], promote_options="none"
    )
    order = _order(keys, table, corrections.dead_in(table))
    ends = np.cumsum([part.rows for part in parts])
    if int(ends[-1]) != keys.num_rows:
        raise PolysemeError(f"The catalog counts {ends[-1]} rows in {len(parts)} parts of {table}, they have "
                            f"{keys.num_rows}. Run `polyseme verify`.")  # fmt: skip
    moves = _moves(keys, order, corrections.moved) if table == "documents" and corrections.moved.num_rows else []
    schema = table_schema(table, width, store)
    ranges = zip(parts, ends, strict=True)
    sources = [_Source(files[part.path], part, schema, int(end) - part.rows) for part, end in ranges]
    batches = _stream(sources, order, ends, schema, {(d, v): uri for d, v, uri in moves})
    return MergedRows(len(order), batches, moves)


def _read(path: Path, columns: list[str]) -> pa.Table:
    wanted = list(dict.fromkeys(columns))
    with pq.ParquetFile(path) as file:
        return file.read(columns=wanted).select(wanted)


def _order(keys: pa.Table, table: str, dead: pa.Table) -> RowNumbers:
    """Return the numbers of the rows to keep, sorted as the table is; equal rows keep their order."""
    order = pc.sort_indices(keys, sort_keys=[(key, "ascending") for key in SORT_KEYS[table]])
    if dead.num_rows:
        drop = pc.is_in(_versions(keys), value_set=_versions(dead).combine_chunks())
        order = order.filter(pc.invert(drop).combine_chunks().take(order))
    rows: RowNumbers = order.to_numpy().astype(np.int64)
    return rows


def _versions(table: pa.Table) -> pa.ChunkedArray:
    """Return document id and version as one value."""
    return pc.binary_join_element_wise(
        table["doc_id"].cast(pa.string()), table["version"].cast(pa.string()), _SEPARATOR
    )


def _moves(keys: pa.Table, order: RowNumbers, moved: pa.Table) -> list[tuple[str, int, str]]:
    kept = keys.select(["doc_id", "version"]).take(pa.array(order))
    here = moved.filter(pc.is_in(_versions(moved), value_set=_versions(kept).combine_chunks()))
    return [(row["doc_id"], row["version"], row["uri"]) for row in here.to_pylist()]


def _stream(
    sources: Sequence[_Source], order: RowNumbers, ends: npt.NDArray[np.int64], schema: pa.Schema,
    moves: dict[tuple[str, int], str],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    for start in range(0, len(order), ROW_GROUP_ROWS):
        wanted = order[start : start + ROW_GROUP_ROWS]
        owner = np.searchsorted(ends, wanted, side="right")
        taken: list[pa.Table] = []
        place = np.empty(len(wanted), np.int64)
        base = 0
        for number in np.unique(owner).tolist():
            mine = owner == number
            first, rows = sources[number].up_to(wanted[mine])
            place[mine] = wanted[mine] - first + base
            taken.append(rows)
            base += rows.num_rows
        batch = pa.concat_tables(taken).take(pa.array(place)).combine_chunks()
        yield from _with_types(schema, _apply_moves(batch, moves)).to_batches(max_chunksize=ROW_GROUP_ROWS)


def _apply_moves(batch: pa.Table, moves: dict[tuple[str, int], str]) -> pa.Table:
    if not moves:
        return batch
    columns = (batch[name].to_pylist() for name in ("doc_id", "version", "uri"))
    uris = [moves.get((doc_id, version), uri) for doc_id, version, uri in zip(*columns, strict=True)]
    return batch.set_column(batch.schema.get_field_index("uri"), batch.schema.field("uri"), pa.array(uris, pa.string()))


def _with_all_columns(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """Add the columns that the parts of older releases lack, as NULL, and let be NULL what could not be in them."""
    for at, field in enumerate(schema):
        if field.name not in rows.schema.names:
            rows = rows.add_column(at, field, pa.nulls(rows.num_rows, field.type))
    had = [rows.schema.field(field.name) for field in schema]
    loose = pa.schema([old.with_nullable(old.nullable or new.nullable) for old, new in zip(had, schema, strict=True)])
    return pa.Table.from_arrays([rows[field.name] for field in schema], schema=loose)


def _with_types(schema: pa.Schema, batch: pa.Table) -> pa.Table:
    """Return the columns with the types of `schema`: Parquet returns some of them differently."""
    if batch.schema.equals(schema):
        return batch
    return pa.Table.from_arrays([batch[f.name].cast(f.type).combine_chunks() for f in schema], schema=schema)


class _Source:
    """One part, read front to back. Rows are numbered across all parts of the merge, those of this one from `first`."""

    def __init__(self, file: Path, part: Part, schema: pa.Schema, first: int) -> None:
        self.path, self._schema = part.path, schema
        self._file = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        self._batches = self._file.iter_batches(batch_size=_ROWS_AHEAD, use_threads=False)
        self._waiting: pa.Table | None = None
        self._next, self._end = first, first + part.rows

    def up_to(self, wanted: RowNumbers) -> tuple[int, pa.Table]:
        """Return the rows not read yet up to the last of `wanted`, and the number of the first.

        Raises PolysemeError if the part is out of order or ends early.
        """
        stop = int(wanted.max()) + 1
        if int(wanted.min()) < self._next:
            raise PolysemeError(
                f"The rows of {self.path} are not in order: it was not written by Polyseme. Run `polyseme verify`."
            )
        held = [] if self._waiting is None else [self._waiting]
        have = sum(table.num_rows for table in held)
        while have < stop - self._next:
            batch = next(self._batches, None)
            if batch is None:
                raise PolysemeError(f"{self.path} ends early. Run `polyseme verify`.")
            held.append(_with_all_columns(self._schema, pa.Table.from_batches([batch])))
            have += batch.num_rows
        rows = pa.concat_tables(held)
        first, count = self._next, stop - self._next
        self._waiting, self._next = rows.slice(count), stop
        if stop == self._end:
            self._waiting = None
            self._batches = iter(())
            self._file.close()
        return first, rows.slice(0, count)
