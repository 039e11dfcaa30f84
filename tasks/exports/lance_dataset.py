"""Lance: a dataset with the rows and their vectors as lists of fixed size, as LanceDB reads it.

Changed in place, in one commit of Lance: rows of new documents are added, those of documents that are replaced or gone
are marked as deleted. Older versions stay until `cleanup_old_versions` of Lance removes them.
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

_ROWS_A_FILE = 1 << 20


def opened(out: str) -> AbstractContextManager[LanceDataset]:
    """Open the folder `out` as a target. Raises UsageError if Lance is not installed."""
    try:
        import lance
    except ImportError as error:
        raise needs("Lance", "lance", error) from error
    return opened_folder(out, lambda folder: LanceDataset(folder, lance))


class LanceDataset(FolderTarget):
    """A folder that is a dataset."""

    incremental = True

    def __init__(self, folder: ExportFolder, lance: Any) -> None:
        super().__init__(folder)
        self._lance = lance

    def states(self) -> States:
        return states_of(self._dataset().to_batches(columns=["doc_id", STATE]))

    def write(self, change: Change, mark: Mark) -> None:
        reader = pa.RecordBatchReader.from_batches(change.schema, change.rows)
        if change.whole:
            with self._folder.replaced(mark) as folder:
                self._lance.write_dataset(reader, str(folder), mode="create", max_rows_per_file=_ROWS_A_FILE)
            return
        dataset = self._dataset()
        gone = f"doc_id IN ({', '.join(map(quote, sorted(change.gone)))})"
        if not change.gone:
            self._lance.write_dataset(reader, dataset, mode="append", max_rows_per_file=_ROWS_A_FILE)
        elif (first := next(change.rows, None)) is None:
            dataset.delete(gone)
        else:
            rows = pa.RecordBatchReader.from_batches(change.schema, chain([first], change.rows))
            merge = dataset.merge_insert([name for name in change.schema.names if name in KEYS[mark.table]])
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            merge.when_not_matched_by_source_delete(gone).conflict_retries(0).execute(rows)
        self._folder.remember(mark)

    def _dataset(self) -> Any:
        return self._lance.dataset(str(self._folder.path))
