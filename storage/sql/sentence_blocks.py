"""Sentence vectors, all of them, some at a time: read from their parts as they lie, or by SQL from an object store.

A list in Parquet has a level for each of its numbers, which DuckDB decodes: it takes 4.4 seconds of CPU to compare a
million vectors with one, whatever the layout, and as ranges of bytes they take 1.9 (`benchmarks/sql_layout.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.parquet.vector_sums import Hidden, one_dictionary
from polyseme.storage.search.pieces import PartError, reading_parts
from polyseme.storage.search.placed_columns import Place
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.kept_sums import hidden_rows
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained, unreadable

_ROWS_A_BLOCK = 65_536
_TEXT = ("text",)


@dataclass(frozen=True, slots=True)
class Places:
    """Where sentences lie: in row `row` of the part that `part` is the number of among `parts`."""

    parts: tuple[str, ...]
    part: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]

    def of(self, rows: npt.NDArray[np.int64]) -> list[Place]:
        """Return where some of them lie."""
        found = zip(self.part[rows].tolist(), self.row[rows].tolist(), strict=True)
        return [Place(self.parts[number], row) for number, row in found]

    @classmethod
    def joined(cls, places: Sequence[Places]) -> Places:
        """Return the places of some sentences after those of others."""
        first = np.cumsum([0, *(len(some.parts) for some in places)])
        part = [some.part + np.int32(number) for number, some in zip(first.tolist(), places, strict=False)]
        parts = tuple(path for some in places for path in some.parts)
        nothing = np.zeros(0, np.int32)
        return cls(parts, np.concatenate([nothing, *part]), np.concatenate([nothing, *(some.row for some in places)]))


@dataclass(frozen=True, slots=True)
class SentenceBlock:
    """Some sentences: `doc_id` dictionary-encoded, `unit` `(rows, width)` of length 1, or 0 for a zero vector.

    `places` is None for an object store, `text` unless it was asked for.
    """

    doc_id: pa.DictionaryArray
    sentence_index: npt.NDArray[np.int32]
    unit: Floats
    places: Places | None
    text: pa.Array | None = None

    def rows_of(self, docs: pa.Array) -> npt.NDArray[np.int64]:
        """Return the rows of these documents."""
        named = pc.is_in(self.doc_id.dictionary, value_set=docs).to_numpy(zero_copy_only=False)
        return np.flatnonzero(named[self.doc_id.indices.to_numpy()])


def sentence_blocks(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, texts: bool = False
) -> Iterator[SentenceBlock]:
    """Yield the live sentences of an encoding. Raises LakeError for a part that cannot be read."""
    if not isinstance(lake.root, Path):
        yield from _by_sql(snapshot, lake, encoding, texts=texts)
        return
    hidden = hidden_rows(snapshot, encoding)
    for part in snapshot.parts.get((encoding.encoding_id, "sentences"), ()):
        try:
            yield from _of_part(lake, part, encoding.spec.width, hidden, texts=texts)
        except PartError as error:
            raise unreadable(lake, error) from error


def _of_part(lake: Lake, part: str, width: int, hidden: Hidden, *, texts: bool) -> Iterator[SentenceBlock]:
    with ExitStack() as opened:
        opened.enter_context(reading_parts())
        file = opened.enter_context(lake.files.fetched(part))
        rows = opened.enter_context(pq.ParquetFile(file, read_dictionary=["doc_id"]))
        vectors = PartVectors(rows, opened.enter_context(file.open("rb")), width)
        first = 0
        for group in range(rows.num_row_groups):
            keys = rows.read_row_group(group, columns=["doc_id", "version", "sentence_index", *_TEXT[:texts]])
            numbers = np.arange(first, first + len(keys))
            first += len(keys)
            gone = hidden.has(one_dictionary(keys["doc_id"]), keys["version"].to_numpy())
            if gone.any():
                keys, numbers = keys.filter(pa.array(~gone)), numbers[~gone]
            text = keys["text"].combine_chunks() if texts else None
            index = keys["sentence_index"].to_numpy()
            unit, row = unit_rows(vectors.rows(numbers)), numbers.astype(np.int32)
            places = Places((part,), np.zeros_like(row), row)
            yield SentenceBlock(one_dictionary(keys["doc_id"]), index, unit, places, text)


def _by_sql(snapshot: Snapshot, lake: Lake, encoding: Encoding, *, texts: bool) -> Iterator[SentenceBlock]:
    # Without a folder to spill to: SQL asks in a confined thread, where none can be made, and a scan needs none.
    with explained(lake), open_snapshot(snapshot, lake, spill="", macros=False) as con:
        view = quote_name(f"sentences_{encoding.name}")
        rows = con.sql(f"SELECT {', '.join(['doc_id', 'sentence_index', 'embedding', *_TEXT[:texts]])} FROM {view}")
        for batch in rows.to_arrow_reader(_ROWS_A_BLOCK):
            vectors = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            index = batch.column("sentence_index").to_numpy(zero_copy_only=False).astype(np.int32)
            doc_id = batch.column("doc_id").dictionary_encode()
            unit = unit_rows(vectors.reshape(-1, encoding.spec.width))
            yield SentenceBlock(doc_id, index, unit, None, batch.column("text") if texts else None)
