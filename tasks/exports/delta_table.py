"""Delta Lake: a table with the rows and their vectors as arrays, for Spark, Databricks and whatever else reads one.

Changed in one commit of the table. Older versions stay until the table is vacuumed. There are no 16-bit floats.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import pyarrow as pa

from polyseme.storage.sql.literals import quote
from polyseme.tasks.exports.folder_target import FolderTarget, opened_folder
from polyseme.tasks.exports.folders import ExportFolder
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE, States
from polyseme.tasks.exports.targets import Change, needs, states_of


def opened(out: str) -> AbstractContextManager[DeltaTable]:
    """Open the folder `out` as a target. Raises UsageError if deltalake is not installed."""
    try:
        import deltalake
    except ImportError as error:
        raise needs("Delta Lake", "delta", error) from error
    return opened_folder(out, lambda folder: DeltaTable(folder, deltalake))


class DeltaTable(FolderTarget):
    """A folder that is a table."""

    incremental = True

    def __init__(self, folder: ExportFolder, deltalake: Any) -> None:
        super().__init__(folder)
        self._deltalake = deltalake

    def states(self) -> States:
        rows = self._table().to_pyarrow_dataset().to_batches(columns=["doc_id", STATE])
        return states_of(rows)

    def write(self, change: Change, mark: Mark) -> None:
        reader = pa.RecordBatchReader.from_batches(change.schema, change.rows)
        if change.whole:
            with self._folder.replaced(mark) as folder:
                self._deltalake.write_deltalake(str(folder), reader, mode="error")
            return
        table = self._table()
        gone = f"doc_id IN ({', '.join(map(quote, sorted(change.gone)))})"
        if not change.gone:
            self._deltalake.write_deltalake(table, reader, mode="append")
        elif (first := next(change.rows, None)) is None:
            table.delete(gone)
        else:
            rows = pa.RecordBatchReader.from_batches(change.schema, chain([first], change.rows))
            same = " AND ".join(f"old.{name} = new.{name}" for name in KEYS[mark.table])
            merge = table.merge(rows, same, source_alias="new", target_alias="old")
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge.when_not_matched_by_source_delete(f"old.{gone}").execute()
        self._folder.remember(mark)

    def _table(self) -> Any:
        return self._deltalake.DeltaTable(str(self._folder.path))
