"""Snapshots of tables: one version of a Delta or an Iceberg table, with the rows that are live in it.

Both libraries are extras and are imported where a table is opened. Credentials come from where these find them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from polyseme.storage.errors import UsageError

_ROWS = 256


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Which delta-rs writes into its messages, whoever reads them."""


class TableError(Exception):
    """A table that cannot be read; the message is one line, in the words of its library."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a table. Its `stamp` is another for every version of every table."""

    stamp: str
    schema: pa.Schema
    _scan: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    place: str = ""
    """The address of its folder, as its catalog has it; empty if there is no catalog."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns, a few at a time. Raises TableError."""
        try:
            for batch in self._scan(columns):
                for start in range(0, batch.num_rows, _ROWS):
                    yield batch.slice(start, _ROWS)
        except Exception as error:
            raise _told(error) from error


def open_delta(path: str) -> Snapshot:
    """Open the newest version of the Delta table in a folder. Raises TableError, UsageError without the package."""
    try:
        from deltalake import DeltaTable
    except ImportError as error:
        raise _missing("A Delta table", "delta", error) from error
    try:
        table = DeltaTable(path)
        # Raises for what this reader would pass by: deletion vectors, and columns that are called otherwise in files.
        dataset = table.to_pyarrow_dataset()
        stamp = f"{table.metadata().id} {table.version()}"
    except Exception as error:
        raise _told(error) from error

    def scan(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from dataset.scanner(
            columns=list(columns), batch_size=_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False
        ).to_batches()

    return Snapshot(stamp, dataset.schema, scan)


def open_iceberg(catalog: str, table: str) -> Snapshot:
    """Open the current snapshot of a table that a catalog of PyIceberg's configuration has.

    Raises TableError, UsageError without the package.
    """
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.io.pyarrow import schema_to_pyarrow
    except ImportError as error:
        raise _missing("An Iceberg table", "iceberg", error) from error
    try:
        opened = load_catalog(catalog).load_table(table)
        snapshot = opened.current_snapshot()
        schema = schema_to_pyarrow(opened.schema(), include_field_ids=False)
        place = opened.location()
        stamp = f"{opened.metadata.table_uuid} {opened.metadata.current_schema_id} {_id(snapshot)}"
    except Exception as error:
        raise _told(error) from error

    def scan(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if snapshot is not None:
            found = opened.scan(selected_fields=tuple(columns), snapshot_id=snapshot.snapshot_id)
            yield from found.to_arrow_batch_reader()

    return Snapshot(stamp, schema, scan, place)


def _id(snapshot: Any) -> str:
    return "" if snapshot is None else str(snapshot.snapshot_id)


def _missing(what: str, extra: str, error: ImportError) -> UsageError:
    return UsageError(f"{what} needs a package that is not installed: {error}. Install polyseme[{extra}].")


def _told(error: Exception) -> TableError:
    words = " ".join(_COLOURS.sub("", str(error)).split())[:300].rstrip(".")
    return TableError(words or type(error).__name__)
