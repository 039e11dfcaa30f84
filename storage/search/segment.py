"""Segments: the codes of some parts in one file. A segment never changes; its parts are live, or not any more.

What is in it can be computed again from the parts at any time. Codes lie cell by cell: that of a row has a place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.search.arrays_file import ArraysFile, ArraysWriter
from polyseme.storage.search.one_bit import Coded, Frame, Words
from polyseme.storage.search.pieces import Integers, Mask, Piece, Ranges, Runs

_FORMAT = 3
_ROWS_AT_ONCE = 1 << 18


class Segment:
    """A segment that is mapped: `rows` rows of `parts`, whose rows begin at `starts`, one more than parts.

    At each place is the code of the row in `order`; the places of each cell begin at `cells`, one more than cells.
    """

    def __init__(self, path: Path, width: int) -> None:
        """Raises OSError, ValueError, KeyError or TypeError for a file that is no segment of this width."""
        self.path = path
        self._file = ArraysFile(path)
        about = self._file.about
        if (about["format"], about["width"]) != (_FORMAT, width):
            raise ValueError("the segment is of another format or width")
        self.parts: tuple[str, ...] = tuple(str(part) for part, _ in about["parts"])
        self.starts: Integers = np.cumsum([0, *(int(rows) for _, rows in about["parts"])])
        self.rows = int(self.starts[-1])
        cells = self._array("cells", np.float32, (None, None))
        self.frame = Frame(self._array("centre", np.float32, (width,)), cells)
        self.order = self._array("order", np.int32, (self.rows,))
        self.cells: Integers = self._array("cell_starts", np.int64, (max(len(cells), 1) + 1,))
        self.bits: Words = self._array("bits", np.uint64, (self.frame.words, self.rows))
        self.scale = self._array("scale", np.float16, (self.rows,))
        self.offset = self._array("offset", np.float16, (self.rows,))
        runs = [self._array(f"run_{name}", np.int32, (None,)) for name in ("first", "document", "sentence")]
        self.run_first, self.run_document, self.run_sentence = runs
        self.version: Integers = self._array("version", np.int64, (None,))
        ends = self._array("doc_id_ends", np.int64, (len(self.version) + 1,))
        names = self._array("doc_id", np.uint8, (None,))
        self.doc_id: pa.LargeStringArray = pa.LargeStringArray.from_buffers(
            len(self.version), pa.py_buffer(ends), pa.py_buffer(names)
        )
        self.doc_id.validate(full=True)
        self.range_first = self._array("range_first", np.int64, (None,))
        self.range_at = self._array("range_at", np.int64, (None,))
        self.searched = self._bits("searched") if "searched" in self._file else None
        self._check()

    def rows_of(self, parts: Collection[str]) -> int:
        """Return how many rows are of these parts."""
        chosen = np.array([part in parts for part in self.parts], np.bool_)
        return int(np.diff(self.starts)[chosen].sum())

    def documents_of(self, rows: Integers) -> tuple[Integers, Integers]:
        """Return which document each row is of, as a place in `doc_id`, and its sentence index."""
        run = np.searchsorted(self.run_first, rows, side="right") - 1
        return self.run_document[run], self.run_sentence[run] + rows - self.run_first[run]

    def places_of(self, rows: Integers) -> tuple[Integers, Integers]:
        """Return which part each row is of, as a place in `parts`, and where its float16 lie in bytes, or -1."""
        part = np.searchsorted(self.starts, rows, side="right") - 1
        found = np.searchsorted(self.range_first, rows, side="right") - 1
        at = self.range_at[found]
        return part, np.where(at < 0, -1, at + (rows - self.range_first[found]) * 2 * self.frame.width)

    def coded(self, places: Integers) -> Coded:
        """Return the codes at some places."""
        cell = (np.searchsorted(self.cells, places, side="right") - 1).astype(np.uint16)
        return Coded(self.bits[:, places], self.scale[places], self.offset[places], cell)

    def of_documents(self, chosen: Mask) -> Mask:
        """Return which rows are of the documents that are chosen."""
        lengths = np.diff(self.run_first, append=self.rows)
        return np.repeat(chosen[self.run_document], lengths)

    @cached_property
    def place(self) -> npt.NDArray[np.int32]:
        """The place of each row."""
        found = np.empty(self.rows, np.int32)
        found[self.order] = np.arange(self.rows, dtype=np.int32)
        return found

    def at_places(self, rows: Mask) -> Mask:
        """Return at which places the rows of a mask are."""
        found = np.zeros(self.rows, np.bool_)
        found[self.place[rows]] = True
        return found

    def piece(self, number: int) -> Piece:
        """Return what is kept of one of the parts."""
        first, end = int(self.starts[number]), int(self.starts[number + 1])
        some = slice(*np.searchsorted(self.run_first, [first, end]))
        used, document = np.unique(self.run_document[some], return_inverse=True)
        runs = Runs(
            self.run_first[some].astype(np.int64) - first, document, self.run_sentence[some].astype(np.int64),
            self.doc_id.take(pa.array(used)).cast(pa.string()), self.version[used],
        )  # fmt: skip
        here = slice(*np.searchsorted(self.range_first, [first, end]))
        ranges = Ranges(self.range_first[here] - first, self.range_at[here])
        codes = [self.coded(self.place[first:end].astype(np.int64))]
        searched = None if self.searched is None else self.searched[first:end]
        return Piece(self.parts[number], end - first, runs, ranges, codes, searched)

    def _array(self, name: str, kind: type[Any], shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        found = self._file[name]
        fits = len(shape) == found.ndim and all(n in (None, m) for n, m in zip(shape, found.shape, strict=True))
        if found.dtype != np.dtype(kind) or not fits:
            raise ValueError(f"the segment's {name} are not what they should be")
        return found

    def _bits(self, name: str) -> Mask:
        return np.unpackbits(self._array(name, np.uint8, (-(-self.rows // 8),)), count=self.rows).astype(np.bool_)

    def _check(self) -> None:
        """Raise ValueError for numbers that would lead out of an array."""
        numbers = len(self.run_first), len(self.run_document), len(self.run_sentence)
        ascending = (self.run_first[:1] == 0).all() and (np.diff(self.run_first) > 0).all()
        inside = (self.run_first < self.rows).all() and (self.run_document >= 0).all()
        inside = inside and (self.run_document < len(self.version)).all() and (np.diff(self.starts) >= 0).all()
        ranges = len(self.range_first) == len(self.range_at) and (np.diff(self.range_first) >= 0).all()
        if not (len(set(numbers)) == 1 and bool(self.rows) == bool(numbers[0]) and ascending and inside and ranges):
            raise ValueError("the segment's runs are not what they should be")
        cells = self.cells[0] == 0 and self.cells[-1] == self.rows and (np.diff(self.cells) >= 0).all()
        if not cells:
            raise ValueError("the segment's cells are not what they should be")


def write_segment(file: IO[bytes], frame: Frame, pieces: Iterable[Piece], rows: int, check: Callable[[], None]) -> None:
    """Write a segment of `pieces` with `rows` rows in all. `check` is called often, and raises to stop.

    The file is durable when this returns. Raises OSError, and what taking the pieces' codes raises.
    """
    bits = np.empty((frame.words, rows), np.uint64)
    scale, offset, cell = np.empty(rows, np.float16), np.empty(rows, np.float16), np.empty(rows, np.uint16)
    kept = _Kept()
    for piece in pieces:
        at = kept.rows
        for coded in piece.codes:
            check()
            some = slice(at, at + len(coded.scale))
            if some.stop <= rows:
                bits[:, some], scale[some], offset[some], cell[some] = coded
            at = some.stop
        kept.add(piece)
    if kept.rows != rows:
        raise ValueError(f"the parts have {kept.rows} rows and not {rows}")
    order = np.argsort(cell, kind="stable")
    writer = ArraysWriter(file)
    writer.reserve("bits", np.uint64, (frame.words, rows))
    for first in range(0, rows, _ROWS_AT_ONCE):
        check()
        writer.fill("bits", first, bits[:, order[first : first + _ROWS_AT_ONCE]])
    for name, values in (("scale", scale), ("offset", offset)):
        writer.reserve(name, np.float16, (rows,))
        writer.fill(name, 0, values[order])
    writer.add("order", order.astype(np.int32))
    writer.add("cell_starts", np.searchsorted(cell[order], np.arange(max(len(frame.cells), 1) + 1)).astype(np.int64))
    writer.add("cells", frame.cells.astype(np.float32))
    writer.add("centre", frame.centre.astype(np.float32))
    for name, values in kept.arrays().items():
        writer.add(name, values)
    writer.end({"format": _FORMAT, "width": frame.width, "parts": kept.parts})
    file.flush()
    os.fsync(file.fileno())


class _Kept:
    """What is written behind the codes: small beside them, and collected until all are known."""

    def __init__(self) -> None:
        self.rows, self.parts = 0, list[tuple[str, int]]()
        self._runs, self._ranges, self._documents = list[Sequence[Integers]](), list[Sequence[Integers]](), 0
        self._searched = [np.zeros(0, np.bool_)]
        self._names, self._versions = [pa.array([], pa.large_string())], [np.zeros(0, np.int64)]

    def add(self, piece: Piece) -> None:
        runs, ranges = piece.runs, piece.ranges
        self._runs.append((runs.first + self.rows, runs.document + self._documents, runs.sentence))
        self._ranges.append((ranges.first + self.rows, ranges.at))
        self._names.append(runs.doc_id.cast(pa.large_string()))
        self._versions.append(runs.version)
        self._documents += len(runs.version)
        self._searched.append(np.ones(piece.rows, np.bool_) if piece.searched is None else piece.searched)
        self.parts.append((piece.path, piece.rows))
        self.rows += piece.rows

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        names = pa.concat_arrays(self._names)
        first, document, sentence = _joined(self._runs, 3, np.int32)
        range_first, range_at = _joined(self._ranges, 2, np.int64)
        searched = np.concatenate(self._searched)
        texts = [text.encode() for text in names.to_pylist()]
        return {
            "run_first": first, "run_document": document, "run_sentence": sentence,
            "version": np.concatenate(self._versions).astype(np.int64),
            "doc_id_ends": np.cumsum([0, *map(len, texts)], dtype=np.int64),
            "doc_id": np.frombuffer(b"".join(texts), np.uint8),
            "range_first": range_first, "range_at": range_at,
            **({} if searched.all() else {"searched": np.packbits(searched)}),
        }  # fmt: skip


def _joined(found: list[Sequence[Integers]], columns: int, kind: type[Any]) -> list[npt.NDArray[Any]]:
    nothing = [np.zeros(0, np.int64)] * columns
    return [np.concatenate(some).astype(kind) for some in zip(nothing, *found, strict=True)]
