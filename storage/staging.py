"""Staging: documents waiting to be encoded, as Arrow IPC files inside the lake.

Between the scan and a shard's task travels only the name of such a file, never text. A staged file is
scratch: the catalog does not know it, and the run that wrote it removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from pyarrow import ipc

from storage.records import Document

_SCHEMA = pa.schema(
    [
        ("doc_id", pa.large_string()),
        ("uri", pa.large_string()),
        ("text", pa.large_string()),
        ("locator", pa.large_string()),
        ("title", pa.large_string()),
        ("metadata", pa.large_string()),
        ("text_version", pa.int64()),
    ]
)
_BATCH_CHARS = 1 << 20


class StagingWriter:
    """Write documents to one staged file, in batches of about a million characters."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = ipc.new_file(str(path), _SCHEMA, options=ipc.IpcWriteOptions(compression="zstd"))
        self._waiting: list[Document] = []
        self._chars = 0

    def write(self, document: Document) -> None:
        self._waiting.append(document)
        self._chars += len(document.text)
        if self._chars >= _BATCH_CHARS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            columns = {name: [getattr(d, name) for d in self._waiting] for name in _SCHEMA.names}
            self._file.write_batch(pa.record_batch(columns, schema=_SCHEMA))
            self._waiting, self._chars = [], 0

    def close(self) -> None:
        self._flush()
        self._file.close()

    def __enter__(self) -> StagingWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_staged(path: Path) -> Iterator[Document]:
    """Yield the documents of a staged file in the order written, one batch in memory at a time."""
    with ipc.open_file(str(path)) as file:
        for i in range(file.num_record_batches):
            for row in file.get_batch(i).to_pylist():
                yield Document(**row)


def remove_staging(folder: Path) -> None:
    """Remove a run's staged files."""
    shutil.rmtree(folder, ignore_errors=True)
