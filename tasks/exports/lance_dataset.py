"""Lance: a dataset with the rows and their vectors as lists of fixed size, as LanceDB reads it.

Changed in place, in one commit of Lance: rows of new documents are added, those of documents that are replaced or gone
are marked as deleted. Older versions stay until `cleanup_old_versions` of Lance removes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyarrow as pa

from polyseme.storage.sql.literals import quote
from polyseme.tasks.exports.folders import ExportFolder, local_path
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE, States
from polyseme.tasks.exports.targets import Change, needs, states_of

_ROWS_A_FILE = 1 << 20


@contextmanager
def opened(out: str) -> Iterator[LanceDataset]:
    """Open the folder `out` as a target. Raises UsageError if Lance is not installed."""
    try:
        import lance
    except ImportError as error:
        raise needs("Lance", "lance", error) from error
    folder = ExportFolder(local_path(out))
    with folder.locked():
        yield LanceDataset(folder, lance)


class LanceDataset:
    """A folder that is a dataset."""

    incremental = True

    def __init__(self, folder: ExportFolder, lance: Any) -> None:
        self._folder, self._lance = folder, lance

    def __str__(self) -> str:
        return str(self._folder)

    def mark(self) -> Mark | None:
        return self._folder.mark()

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

    def remember(self, mark: Mark) -> None:
        self._folder.remember(mark)

    def size(self) -> int:
        return self._folder.size()

    def _dataset(self) -> Any:
        return self._lance.dataset(str(self._folder.path))
