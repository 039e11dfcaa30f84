"""Vectors of documents, from sums that are kept in the user's cache folder: a file for each encoding of a lake.

Derived from the parts with sentences, and computed again wherever it cannot be read. Parts never change, so what is
kept of one holds as long as the part does: after an append only new parts are read, after a compaction those that were
merged. Sums are of every version of a document that a part has; those that are hidden are left out when they are asked
for. Sums of float16 are exact as float64, so that they are the same however a document is spread over parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.parquet.vector_sums import Doubles, one_dictionary
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.kept_sums import hidden_rows
from polyseme.storage.sql.kept_tables import load_table, save_table
from polyseme.storage.sql.views import unreadable
from polyseme.storage.user_cache import cached_file

WORTH_KEEPING = 50_000
"""Sentences from which on sums are kept: those of fewer take half a second."""
_KIND = "document-sums"
_FORMAT = 1
_ROWS_A_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class DocumentSums:
    """The sums `(entries, width)` of the sentence vectors of each version of a document in each of some parts."""

    parts: tuple[str, ...]
    part: npt.NDArray[np.int64]
    doc_ids: pa.Array
    versions: npt.NDArray[np.int64]
    sentences: npt.NDArray[np.int64]
    sums: Doubles

    @staticmethod
    def nothing(width: int) -> DocumentSums:
        """Return the sums of no part."""
        none = np.zeros(0, np.int64)
        return DocumentSums((), none, pa.array([], pa.string()), none, none, np.zeros((0, width)))

    def of_parts(self, wanted: Sequence[str]) -> DocumentSums:
        """Return the entries of those of `wanted` that are among the parts."""
        kept = tuple(path for path in self.parts if path in set(wanted))
        if kept == self.parts:
            return self
        place = {path: i for i, path in enumerate(kept)}
        moved = np.array([place.get(path, -1) for path in self.parts], np.int64)[self.part]
        rows = np.flatnonzero(moved >= 0)
        doc_ids = self.doc_ids.take(pa.array(rows))
        return DocumentSums(kept, moved[rows], doc_ids, self.versions[rows], self.sentences[rows], self.sums[rows])

    def with_more(self, more: Sequence[DocumentSums]) -> DocumentSums:
        """Return these entries and those of other parts."""
        every = [self, *more]
        firsts = np.cumsum([0, *(len(one.parts) for one in every)])
        return DocumentSums(
            tuple(path for one in every for path in one.parts),
            np.concatenate([one.part + first for one, first in zip(every, firsts, strict=False)]),
            pa.concat_arrays([one.doc_ids for one in every]),
            np.concatenate([one.versions for one in every]),
            np.concatenate([one.sentences for one in every]),
            np.concatenate([one.sums for one in every]),
        )


def document_vectors(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, check: Callable[[], None] = lambda: None,
    worth_keeping: int = WORTH_KEEPING,
) -> tuple[pa.Array, Floats]:  # fmt: skip
    """Return the ids of the documents with sentences, in order, and their vectors: the mean of their sentences'.

    Of parts that are not kept yet, sums are made, and kept if the lake has `worth_keeping` sentences. `check` is called
    often, and raises to stop. Raises LakeError for a part that cannot be read.
    """
    live, width = snapshot.parts.get((encoding.encoding_id, "sentences"), ()), encoding.spec.width
    kept = load(snapshot, encoding) or DocumentSums.nothing(width)
    found = kept.of_parts(live)
    has = set(found.parts)
    found = found.with_more(list(_of_parts([path for path in live if path not in has], lake, width, check)))
    if found.parts != kept.parts and found.sentences.sum() >= worth_keeping:
        _save(snapshot, encoding, found)
    docs = found.doc_ids.dictionary_encode()
    shown = np.flatnonzero(~hidden_rows(snapshot, encoding).has(docs, found.versions))
    ids = docs.take(pa.array(shown)).cast(pa.string()).dictionary_encode()
    order = np.argsort(ids.indices.to_numpy(), kind="stable")
    starts = np.flatnonzero(np.diff(ids.indices.to_numpy()[order], prepend=-1))
    vectors, ends = np.empty((len(starts), width), np.float32), [*starts[_ROWS_A_BLOCK::_ROWS_A_BLOCK], len(order)]
    for block, end in zip(range(0, len(starts), _ROWS_A_BLOCK), ends, strict=False):
        begins = starts[block : block + _ROWS_A_BLOCK]
        rows = shown[order[begins[0] : end]]
        sums, counts = (np.add.reduceat(each[rows], begins - begins[0]) for each in (found.sums, found.sentences))
        vectors[block : block + _ROWS_A_BLOCK] = sums / counts[:, None]
    by_id = np.array(pc.sort_indices(ids.dictionary))
    return ids.dictionary.take(pa.array(by_id)), vectors[by_id]


def load(snapshot: Snapshot, encoding: Encoding) -> DocumentSums | None:
    """Return the sums that are kept of an encoding; None if there are none that can be read."""
    file = _file(snapshot, encoding.encoding_id)
    return None if file is None else load_table(file, lambda table, state: _read(table, state, encoding.spec.width))


def forget_gone(snapshot: Snapshot) -> None:
    """Remove what this user keeps of a lake's encodings that are gone, or of rows that are no longer shown."""
    folder = cached_file(_KIND, "any", "arrow")
    current: set[Path | None] = set()
    for encoding in snapshot.encodings:
        kept = load(snapshot, encoding)
        live = snapshot.parts.get((encoding.encoding_id, "sentences"), ())
        if kept is not None and kept.of_parts(live) is kept:
            hidden = hidden_rows(snapshot, encoding).has(kept.doc_ids.dictionary_encode(), kept.versions)
            current |= set() if hidden.any() else {_file(snapshot, encoding.encoding_id)}
    with suppress(OSError):  # a folder of somebody else
        for file in folder.parent.glob("*.arrow") if folder is not None else ():
            if file.name.startswith(f"{snapshot.lake_id}-") and file not in current:
                file.unlink()


def _of_parts(parts: Sequence[str], lake: Lake, width: int, check: Callable[[], None]) -> Iterator[DocumentSums]:
    for path in parts:
        try:
            with lake.files.fetched(path) as file, file.open("rb") as raw:
                opened = pq.ParquetFile(file, read_dictionary=["doc_id"])
                with opened:
                    yield _of_part(path, opened, PartVectors(opened, raw, width), check)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise unreadable(lake, error) from error


def _of_part(path: str, file: pq.ParquetFile, vectors: PartVectors, check: Callable[[], None]) -> DocumentSums:
    """Return the sums of a part. Its rows are sorted by document, so those of a version follow each other."""
    table = file.read(columns=["doc_id", "version"])
    docs, versions = one_dictionary(table["doc_id"]), table["version"].to_numpy()
    codes = docs.indices.to_numpy()
    changes = (np.diff(codes, prepend=-1) != 0) | (np.diff(versions, prepend=-1) != 0)
    starts = np.flatnonzero(changes)
    entry = np.cumsum(changes) - 1
    sums = np.zeros((len(starts), vectors.layout.width))
    for first in range(0, len(codes), _ROWS_A_BLOCK):
        check()
        rows = np.arange(first, min(first + _ROWS_A_BLOCK, len(codes)))
        wide = vectors.rows(rows).astype(np.float64)
        begins = np.flatnonzero(np.diff(entry[rows], prepend=-1))
        sums[entry[rows[begins]]] += np.add.reduceat(wide, begins)
    doc_ids = docs.dictionary.cast(pa.string()).take(pa.array(codes[starts]))
    counts = np.diff(starts, append=len(codes))
    return DocumentSums((path,), np.zeros(len(starts), np.int64), doc_ids, versions[starts], counts, sums)


def _save(snapshot: Snapshot, encoding: Encoding, kept: DocumentSums) -> None:
    file = _file(snapshot, encoding.encoding_id)
    if file is None:
        return
    sums = pa.FixedSizeListArray.from_arrays(pa.array(kept.sums.reshape(-1)), kept.sums.shape[1])
    columns = {
        "part": kept.part, "doc_id": kept.doc_ids, "version": kept.versions, "sentences": kept.sentences, "sum": sums,
    }  # fmt: skip
    save_table(file, pa.table(columns), {"format": _FORMAT, "parts": list(kept.parts)}, "Sums of document vectors")


def _file(snapshot: Snapshot, encoding_id: str) -> Path | None:
    return cached_file(_KIND, f"{snapshot.lake_id}-{encoding_id}", "arrow")


def _read(table: pa.Table, state: Any, width: int) -> DocumentSums | None:
    parts = state["parts"]
    part, versions, sentences = (table[name].to_numpy() for name in ("part", "version", "sentences"))
    sums = table["sum"].combine_chunks().flatten().to_numpy().reshape(-1, width)
    doc_ids = table["doc_id"].combine_chunks()
    right = all(numbers.dtype == np.int64 for numbers in (part, versions, sentences)) and sums.dtype == np.float64
    whole = state["format"] == _FORMAT and len(sums) == len(part) and doc_ids.null_count == 0
    known = isinstance(parts, list) and all(isinstance(path, str) for path in parts)
    if not (right and whole and known and pa.types.is_string(doc_ids.type) and np.isfinite(sums).all()):
        return None
    if len(part) and not (part.min() >= 0 and part.max() < len(parts) and sentences.min() > 0):
        return None
    return DocumentSums(tuple(parts), part, doc_ids, versions, sentences, sums)
