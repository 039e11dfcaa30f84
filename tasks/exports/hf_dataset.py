"""Hugging Face: a folder with shards of Parquet and a dataset card, which `datasets.load_dataset` and the Hub read.

Parquet and not the Arrow files of `save_to_disk`: only readers need the library, and the Hub takes the folder as it is.
Changed by a new folder in which shards without a change are links to the old files, so that both are whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.tasks.exports.folder_target import FolderTarget, opened_folder
from polyseme.tasks.exports.folders import link_or_copy
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import STATE, VECTOR, States
from polyseme.tasks.exports.targets import Change, states_of

CARD, DATA = "README.md", "data"
_ROWS_A_SHARD = 1 << 17
"""200 MB of vectors of 384 numbers."""
_SMALL = _ROWS_A_SHARD // 8
"""Rows of a shard that is written together with new rows, so that daily exports do not make a shard a day."""
_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: {data}/*.parquet
tags:
- embeddings
---
# Vectors of {table}

Written by `polyseme export --to hf-dataset`: a row for each of the {table} of a corpus, with `uri`, `title` and
`metadata` of its document, and its vector in `{vector}`: {width} numbers in {vectors}, from the encoding {encoding}.
`{state}` changes when a document or its rows do. Later exports leave this card as it is: say here where the texts are
from, and under which license they may be used.
"""


def opened(out: str) -> AbstractContextManager[HfDataset]:
    """Open the folder `out` as a target."""
    return opened_folder(out, HfDataset)


class HfDataset(FolderTarget):
    """A folder with shards and a card."""

    incremental = True
    files = (DATA,)

    def states(self) -> States:
        return states_of(pq.read_table(path, columns=["doc_id", STATE], partitioning=None) for path in self._shards())

    def write(self, change: Change, mark: Mark) -> None:
        with self._folder.replaced(mark) as folder:
            (folder / DATA).mkdir()
            old = [] if change.whole else self._shards()
            kept = [path for path in old if _is_kept(path, change.gone)]
            for number, path in enumerate(kept):
                link_or_copy(path, _shard(folder, number))
            rest = chain.from_iterable(_rows_of(path, change.gone) for path in old if path not in kept)
            _write(folder, len(kept), change.schema, chain(rest, change.rows))
            if change.whole or not (self._folder.path / CARD).exists():
                (folder / CARD).write_text(_card(change.schema, mark), "utf-8")
            else:
                shutil.copyfile(self._folder.path / CARD, folder / CARD)

    def _shards(self) -> list[Path]:
        return sorted((self._folder.path / DATA).glob("*.parquet"))


def _shard(folder: Path, number: int) -> Path:
    return folder / DATA / f"rows-{number:05}.parquet"


def _card(schema: pa.Schema, mark: Mark) -> str:
    width = schema.field(VECTOR).type.list_size
    return _CARD.format(
        data=DATA, table=mark.table, vector=VECTOR, width=width, vectors=mark.vectors, encoding=mark.encoding,
        state=STATE,
    )  # fmt: skip


def _is_kept(path: Path, gone: frozenset[str]) -> bool:
    """Return whether a shard stays as it is: it is large enough, and no document in it goes."""
    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows < _SMALL:
            return False
        return gone.isdisjoint(pc.unique(file.read(["doc_id"])["doc_id"]).to_pylist())


def _rows_of(path: Path, gone: frozenset[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard, but those of documents that go."""
    names = pa.array(sorted(gone), pa.string())
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            if (rows := batch.filter(pc.invert(pc.is_in(batch["doc_id"], value_set=names)))).num_rows:
                yield rows  # `datasets` takes the rows of the first row group for its batch size


def _write(folder: Path, number: int, schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> None:
    """Write rows into shards from this number on. There is always one, since a dataset without files is none."""
    texts = [field.name for field in schema if pa.types.is_string(field.type) and field.name != "text"]
    rows = iter(rows)
    while True:
        written = 0
        with pq.ParquetWriter(_shard(folder, number), schema, compression="zstd", use_dictionary=texts) as writer:
            for batch in rows:
                writer.write_batch(batch)
                written += batch.num_rows
                if written >= _ROWS_A_SHARD:
                    break
        if written < _ROWS_A_SHARD:
            break
        number += 1
    if not written and number:
        _shard(folder, number).unlink()
