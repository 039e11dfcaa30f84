"""Pieces: what an index keeps of one part: the codes of its rows, which documents they are of, and where vectors lie.

A piece is made of a part, or copied from another index. Rows are numbered within their part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.parquet.vector_sums import one_dictionary
from polyseme.storage.search.cells import fitted_cells
from polyseme.storage.search.one_bit import Coded, Frame
from polyseme.storage.search.unit_vectors import Floats, unit_rows

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_ROWS_A_BLOCK = 4096
_WORD = "word_lower"
READABLE = r"[\pL\pN]"
"""Words with a letter or a digit are searched, and marks are not."""


class PartError(Exception):
    """A part that is damaged or gone."""


@contextmanager
def reading_parts() -> Iterator[None]:
    """Turn what reading a part raises into a PartError."""
    try:
        yield
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise PartError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows of one document whose sentences follow one another: the first row, the document, its first sentence.

    `document` counts in `doc_id` and `version`, `(documents,)`, where no pair is twice.
    """

    first: Integers
    document: Integers
    sentence: Integers
    doc_id: pa.StringArray
    version: Integers


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where vectors lie as float16, one after another: the first row of each range, and its place in bytes, or -1."""

    first: Integers
    at: Integers


@dataclass(frozen=True, slots=True)
class Piece:
    """What is kept of the part at `path`. `codes` yields those of all `rows`, some at a time, once.

    `searched` are the rows to search, None for all.
    """

    path: str
    rows: int
    runs: Runs
    ranges: Ranges
    codes: Iterable[Coded]
    searched: Mask | None = None


def piece_of_part(path: str, file: Path, frame: Frame) -> Piece:
    """Return what is kept of a part, whose vectors are read as the codes are taken.

    Raises PartError, here and as codes are taken.
    """
    with reading_parts():
        described = pq.read_metadata(file)
        forms = [_WORD] if _WORD in described.schema.names else []
        opened = pq.ParquetFile(file, metadata=described, read_dictionary=["doc_id", *forms])
    with reading_parts(), opened as part, file.open("rb") as raw:
        rows = part.metadata.num_rows
        found = PartVectors(part, raw, frame.width).ranges() if rows else []
        keys = part.read(columns=["doc_id", "version", "sentence_index", *forms])
    first, at = [0], [-1]
    for run in found:
        first += [run.first, run.first + run.rows]
        at += [run.at, -1]
    ranges = Ranges(np.array(first, np.int64), np.array(at, np.int64))
    searched = _readable(keys[_WORD]) if forms else None
    return Piece(path, rows, _runs(keys), ranges, _codes(file, rows, frame), searched)


def rows_of(file: Path) -> int:
    """Return how many rows a part has. Raises PartError."""
    with reading_parts():
        return int(pq.read_metadata(file).num_rows)


def frame_of(parts: Iterable[tuple[Path, int]], width: int, check: Callable[[], None] = lambda: None) -> Frame:
    """Return a new frame: the mean of vectors, and their cells; `parts` are files, and of how many rows of each.

    These rows are from all over a part. `check` is called often, and raises to stop. Raises PartError.
    """
    found = [np.zeros((0, width), np.float32)]
    for path, rows in parts:
        check()
        with reading_parts(), pq.ParquetFile(path) as part, path.open("rb") as raw:
            there = part.metadata.num_rows
            some = np.unique(np.linspace(0, max(there - 1, 0), min(there, rows)).astype(np.int64))
            found.append(unit_rows(PartVectors(part, raw, width).rows(some)))
    unit = np.concatenate(found)
    centre: Floats = unit.mean(0, dtype=np.float32) if len(unit) else np.zeros(width, np.float32)
    return Frame(centre, fitted_cells(unit - centre, check))


def _codes(file: Path, rows: int, frame: Frame) -> Iterator[Coded]:
    with reading_parts(), pq.ParquetFile(file) as part, file.open("rb") as raw:
        vectors = PartVectors(part, raw, frame.width)
        for first in range(0, rows, _ROWS_A_BLOCK):
            numbers = np.arange(first, min(first + _ROWS_A_BLOCK, rows))
            yield frame.encode(unit_rows(vectors.rows(numbers)))


def _runs(keys: pa.Table) -> Runs:
    if not keys.num_rows:
        nothing = np.zeros(0, np.int64)
        return Runs(nothing, nothing, nothing, pa.array([], pa.string()), nothing)
    names = one_dictionary(keys["doc_id"])
    index = names.indices.to_numpy().astype(np.int64)
    versions, of_version = np.unique(keys["version"].to_numpy(), return_inverse=True)
    pairs, document = np.unique(index * len(versions) + of_version, return_inverse=True)
    sentence = keys["sentence_index"].to_numpy().astype(np.int64)
    begins = (np.diff(document, prepend=-1) != 0) | (np.diff(sentence, prepend=-2) != 1)
    first = np.flatnonzero(begins)
    doc_id = names.dictionary.cast(pa.string()).take(pa.array(pairs // len(versions)))
    return Runs(first, document[first], sentence[first], doc_id, versions[pairs % len(versions)])


def _readable(words: pa.ChunkedArray) -> Mask:
    if not len(words):
        return np.zeros(0, np.bool_)
    found = one_dictionary(words)
    readable = pc.match_substring_regex(found.dictionary.cast(pa.string()), READABLE).to_numpy(zero_copy_only=False)
    mask: Mask = readable.astype(np.bool_)[found.indices.to_numpy()]
    return mask
