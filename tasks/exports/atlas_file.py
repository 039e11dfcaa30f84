"""Atlas: one Parquet file with the rows, their vectors and an id each, for maps of embeddings.

Embedding Atlas reads it by `embedding-atlas atlas.parquet --vector embedding --text text`; Nomic Atlas takes the same
rows and vectors, and ids of up to 36 characters such as these, which are the same in every export. Written as a whole
at every change, one batch in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.tasks.exports.folders import ExportFolder, local_path
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE, States
from polyseme.tasks.exports.targets import Change, row_ids

FILE = "atlas.parquet"


@contextmanager
def opened(out: str) -> Iterator[AtlasFile]:
    """Open the folder `out` as a target."""
    folder = ExportFolder(local_path(out))
    with folder.locked():
        yield AtlasFile(folder)


class AtlasFile:
    """A folder with the file."""

    incremental = False

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def mark(self) -> Mark | None:
        return self._folder.mark()

    def states(self) -> States:
        return {}

    def write(self, change: Change, mark: Mark) -> None:
        own = [field for field in change.schema if field.name != STATE]
        schema = pa.schema([pa.field("id", pa.string(), nullable=False), *own])
        texts = [field.name for field in own if pa.types.is_string(field.type) and field.name != "text"]
        with (
            self._folder.replaced(mark) as folder,
            pq.ParquetWriter(folder / FILE, schema, compression="zstd", use_dictionary=texts) as writer,
        ):
            for batch in change.rows:
                ids = pa.array(row_ids(batch, KEYS[mark.table]), pa.string())
                rows = batch.drop_columns([STATE])
                writer.write_batch(pa.RecordBatch.from_arrays([ids, *rows.columns], schema=schema))

    def remember(self, mark: Mark) -> None:
        self._folder.remember(mark)

    def size(self) -> int:
        return self._folder.size()
