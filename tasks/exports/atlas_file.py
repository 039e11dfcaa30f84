"""Atlas: one Parquet file with the rows, their vectors and an id each, for maps of embeddings.

Embedding Atlas reads it by `embedding-atlas atlas.parquet --vector embedding --text text`; Nomic Atlas takes the same
rows and vectors, and ids of up to 36 characters such as these, which are the same in every export. Written as a whole
at every change, one batch in memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.tasks.exports.folder_target import FolderTarget, opened_folder
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import KEYS, STATE
from polyseme.tasks.exports.targets import Change, row_ids

FILE = "atlas.parquet"


def opened(out: str) -> AbstractContextManager[AtlasFile]:
    """Open the folder `out` as a target."""
    return opened_folder(out, AtlasFile)


class AtlasFile(FolderTarget):
    """A folder with the file."""

    files = (FILE,)

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
