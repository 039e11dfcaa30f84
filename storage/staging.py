"""Staging: documents that wait to be encoded, as Arrow IPC files inside the lake.

The scan passes a shard's task the path of such a file and never text, so that the task may run on another machine. A
staged file is temporary: the catalog does not know it, and the run that wrote it removes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

import pyarrow as pa
from pyarrow import ipc

from polyseme.storage.checks import Origin
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document

_FOLDER = "staging"
_SCHEMA = pa.schema(
    [
        ("doc_id", pa.large_string()),
        ("uri", pa.large_string()),
        ("text", pa.large_string()),
        ("locator", pa.large_string()),
        ("title", pa.large_string()),
        ("metadata", pa.large_string()),
        ("text_version", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
        ("bytes", pa.int64()),
    ]
)
_REQUIRED = ("doc_id", "uri", "text", "locator", "metadata")
_PATH = re.compile(r"staging/[0-9A-Za-z][0-9A-Za-z_.-]*/[0-9]{5,}\.arrow")
_BATCH_CHARS = 1 << 20


class StagingWriter:
    """Write documents to one staged file, in batches of about a million characters. Use it as a context manager."""

    def __init__(self, lake: Lake, path: str) -> None:
        self._closing = ExitStack()
        made = self._closing.enter_context(lake.files.new(path))
        options = ipc.IpcWriteOptions(compression="zstd")
        self._file = self._closing.enter_context(ipc.new_file(str(made), _SCHEMA, options=options))
        self._waiting: list[Document] = []
        self._chars = 0

    def write(self, document: Document) -> None:
        """Add a document."""
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
        """Write the last batch; the file exists from now on."""
        with self._closing:
            self._flush()

    def __enter__(self) -> StagingWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close() if error is None else self._closing.__exit__(kind, error, at)


def read_staged(lake: Lake, path: str) -> Iterator[Document]:
    """Yield the documents of a staged file in the order written, one batch in memory at a time.

    Raises FileNotFoundError if the file is gone, and LakeError if it is not one that `StagingWriter` wrote.
    """
    origin = Origin(f"The lake at {lake.root}", "Embed the source again: a new run stages its documents anew.")
    origin.text(path, "the path of staged documents", _PATH, "staging/RUN/NUMBER.arrow")
    with lake.files.fetched(path) as found:
        try:
            with ipc.open_file(str(found)) as file:
                for i in range(file.num_record_batches):
                    yield from _documents(file.get_batch(i))
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise LakeError(f"Staged documents in {found} cannot be read: {error}. {origin.remedy}") from error


def _documents(batch: pa.RecordBatch) -> list[Document]:
    if not batch.schema.equals(_SCHEMA):
        raise pa.ArrowInvalid(f"the columns are {', '.join(batch.schema.names)}")
    batch.validate(full=True)  # before anything reads by its offsets
    empty = [name for name in _REQUIRED if batch.column(name).null_count]
    if empty:
        raise pa.ArrowInvalid(f"there are NULLs in {empty[0]}")
    return [Document(**row) for row in batch.to_pylist()]


def staged_path(run_id: str, ordinal: int) -> str:
    """Return the path in the lake of a run's staged shard."""
    return f"{_FOLDER}/{run_id}/{ordinal:05d}.arrow"


def remove_staging(lake: Lake, run_id: str) -> None:
    """Remove a run's staged files."""
    lake.files.remove_folder(f"{_FOLDER}/{run_id}")
