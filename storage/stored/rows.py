"""Rows of documents as the lake has them: positions and scores in memory, vectors read when they are wanted.

Trusts no part further than its hash in the catalog, and no document whose rows are not all there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import locating
from polyseme.storage.database.locating import Located
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.parquet.vector_column import RowNumbers
from polyseme.storage.parts import sha256_of
from polyseme.storage.records import Part
from polyseme.storage.stored.part_file import PartFile
from polyseme.storage.tiers import Halves

log = logging.getLogger(__name__)

_COLUMNS: dict[str, tuple[str, ...]] = {
    "documents": ("uri", "text", "content_sha256", "n_sentences", "n_tokens"),
    "sentences": ("sentence_index", "char_start", "char_end", "n_tokens", "pll", "pll_variant"),
    "words": ("sentence_index", "word_index"),
    "tokens": ("sentence_index", "token_index", "surprisal", "replaced_logit"),
    "transitions": (
        "sentence_index", "kind", "next_doc_id", "next_sentence_index", "nsp_logit_is_next", "nsp_logit_not_next",
        "cosine", "n_truncated", "order_margin",
    ),
}  # fmt: skip
_POSITION = {"words": "word_index", "tokens": "token_index"}


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A live document: its text, its address when that was stored, and where its sentences are among all rows."""

    doc_id: str
    uri: str
    text: str
    first_sentence: int
    n_sentences: int


@dataclass(frozen=True, slots=True)
class StoredTable:
    """Rows of all documents in one table, by document and position.

    `document` is `(rows,)`, the number of each row's document, and every column is `(rows,)` too.
    """

    name: str
    document: RowNumbers
    columns: Mapping[str, npt.NDArray[Any]]
    _part: RowNumbers
    _row: RowNumbers
    _parts: Sequence[Path]

    def __len__(self) -> int:
        return len(self.document)

    def vectors(self, rows: RowNumbers, width: int) -> Halves:
        """Return `(len(rows), width)`: the stored vectors of these rows.

        Parts are open one at a time, since there may be more than a process may open. Raises OSError or
        pa.ArrowException if one is damaged or gone.
        """
        found = np.empty((len(rows), width), np.float16)
        part = self._part[rows]
        for number in np.unique(part).tolist():
            here = np.flatnonzero(part == number)
            with PartFile(self._parts[number], self.name, width) as file:
                found[here] = file.vectors(self._row[rows[here]])
        return found


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The rows of some documents, which are numbered. Tables that were not asked for are missing."""

    documents: tuple[StoredDocument, ...]
    tables: Mapping[str, StoredTable]
    width: int


@contextmanager
def stored_rows(
    catalog: Catalog, encoding_id: str, doc_ids: Sequence[str], *, tables: Sequence[str], width: int,
    most_bytes: int | None = None,
) -> Iterator[StoredRows]:  # fmt: skip
    """Yield the rows that documents have in `tables` besides `documents` and `sentences`, as of now.

    A document is left out if it is neither live nor can be restored, or if a part that holds rows of it is gone or is
    not what the catalog says; all are if the parts that can hold rows have more than `most_bytes`. Vectors can be read
    within the block.
    """
    names = ("documents", "sentences", *tables)
    with catalog.reading() as connection:
        located = {name: locating.parts_holding(connection, encoding_id, name, sorted(set(doc_ids))) for name in names}
    size = sum(part.bytes for where in located.values() for part in where.parts)
    if most_bytes is not None and size > most_bytes:
        log.info("%d documents are encoded whole: their parts have %d bytes", len(located["documents"].versions), size)
        located = dict.fromkeys(names, Located((), {}))
    with ExitStack() as held:
        yield _Reader(catalog.lake, held, width).read(located)


class _Reader:
    """Reads located rows; copies of parts that lie elsewhere are kept until `held` is closed."""

    def __init__(self, lake: Lake, held: ExitStack, width: int) -> None:
        self._lake, self._held, self._width = lake, held, width

    def read(self, located: Mapping[str, Located]) -> StoredRows:
        ids = sorted(located["documents"].versions)
        texts = self._table("documents", located["documents"], ids)
        good = _whole_texts(texts, len(ids))
        ids = [doc_id for doc_id, is_good in zip(ids, good.tolist(), strict=True) if is_good]
        texts = self._chosen(texts, good)
        tables = {name: self._table(name, where, ids) for name, where in located.items() if name != "documents"}
        good = _whole(tables, texts, len(ids))
        if not good.all():
            log.warning("%d documents whose stored rows are not all there are encoded whole", int((~good).sum()))
        tables = {name: self._chosen(table, good) for name, table in tables.items()}
        texts = self._chosen(texts, good)
        kept = [doc_id for doc_id, is_good in zip(ids, good.tolist(), strict=True) if is_good]
        counts = texts.columns["n_sentences"].astype(np.int64)
        firsts = (np.cumsum(counts) - counts).tolist()
        uris, whole = (texts.columns[name].tolist() for name in ("uri", "text"))
        columns = zip(kept, uris, whole, firsts, counts.tolist(), strict=True)
        return StoredRows(tuple(StoredDocument(*row) for row in columns), tables, self._width)

    def _chosen(self, table: StoredTable, good: npt.NDArray[np.bool_]) -> StoredTable:
        """Return the rows of the good documents, which are numbered anew."""
        keep = good[table.document]
        number = np.cumsum(good) - 1
        columns = {name: values[keep] for name, values in table.columns.items()}
        return StoredTable(
            table.name, number[table.document[keep]], columns, table._part[keep], table._row[keep], table._parts
        )

    def _table(self, name: str, located: Located, doc_ids: Sequence[str]) -> StoredTable:
        versions = np.array([located.versions.get(doc_id, -1) for doc_id in doc_ids], np.int64)
        parts: list[Path] = []
        found: list[tuple[RowNumbers, RowNumbers, RowNumbers, dict[str, npt.NDArray[Any]]]] = []
        for part in located.parts if doc_ids else ():
            read = self._rows_of(part, name, doc_ids, versions)
            if read is not None and len(read[1]):
                path, rows, owner, columns = read
                found.append((owner, np.full(len(rows), len(parts)), rows, columns))
                parts.append(path)
        nothing = np.empty(0, np.int64)
        owner, part_of, row = (np.concatenate([nothing, *(f[i] for f in found)]) for i in range(3))
        columns = {column: _joined([f[3][column] for f in found]) for column in _COLUMNS[name]}
        keys = [columns[key] for key in (_POSITION.get(name), "sentence_index") if key in columns]
        order = np.lexsort([*keys, owner])
        return StoredTable(
            name,
            owner[order],
            {key: values[order] for key, values in columns.items()},
            part_of[order],
            row[order],
            parts,
        )

    def _rows_of(
        self, part: Part, name: str, doc_ids: Sequence[str], versions: RowNumbers
    ) -> tuple[Path, RowNumbers, RowNumbers, dict[str, npt.NDArray[Any]]] | None:
        """Return the documents' rows in one part; None if it cannot be trusted."""
        try:
            path = self._held.enter_context(self._lake.files.fetched(part.path))
            with PartFile(path, name, self._width) as file:
                rows, owner = file.find(doc_ids, versions)
                if not len(rows):
                    return None
                if sha256_of(path) != part.sha256:
                    raise OSError("its bytes are not those that were committed")
                return path, rows, owner, file.columns(_COLUMNS[name], rows)
        except (OSError, KeyError, ValueError, LakeError, pa.ArrowException) as error:
            log.warning("%s cannot be read, and its documents are encoded whole: %s", part.path, type(error).__name__)
            return None


def _joined(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)


def _whole_texts(texts: StoredTable, count: int) -> npt.NDArray[np.bool_]:
    """Return which documents have one row with a text that its hash confirms."""
    good: npt.NDArray[np.bool_] = np.bincount(texts.document, minlength=count) == 1
    rows = zip(
        texts.document.tolist(), texts.columns["text"].tolist(), texts.columns["content_sha256"].tolist(), strict=True
    )
    for number, text, digest in rows:
        good[number] &= hashlib.sha256(text.encode()).hexdigest() == digest
    return good


def _whole(tables: Mapping[str, StoredTable], texts: StoredTable, count: int) -> npt.NDArray[np.bool_]:
    """Return which documents have all their sentences, and no row twice or of a sentence that is not there."""
    sentences = tables["sentences"]
    numbers, lengths = texts.columns["n_sentences"].astype(np.int64), texts.columns["n_tokens"].astype(np.int64)
    good: npt.NDArray[np.bool_] = np.bincount(sentences.document, minlength=count) == numbers
    firsts = np.searchsorted(sentences.document, np.arange(count))
    expected = np.arange(len(sentences)) - firsts[sentences.document]
    good[sentences.document[sentences.columns["sentence_index"] != expected]] = False
    totals = np.bincount(sentences.document, sentences.columns["n_tokens"].astype(np.int64), minlength=count)
    good &= totals.astype(np.int64) == lengths
    for name, table in tables.items():
        index = table.columns["sentence_index"]
        good[table.document[(index < 0) | (index >= numbers[table.document])]] = False
        if name in _POSITION:
            place = np.stack([table.document, index, table.columns[_POSITION[name]]])
            twice = np.flatnonzero((np.diff(place) == 0).all(axis=0))
            good[table.document[twice]] = False
    return good
