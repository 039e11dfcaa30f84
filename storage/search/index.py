"""The index of an encoding's vectors: segments of codes in the user's cache folder, made of the parts as they come.

Never the truth: which rows there are, the snapshot says, and a segment that is absent, damaged or of parts that are
gone is made again, or left out. Only the codes of new parts are computed; small segments are joined by copying.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.search.one_bit import Frame
from polyseme.storage.search.pieces import Piece, frame_of, piece_of_part, reading_parts, rows_of
from polyseme.storage.search.segment import Segment, write_segment
from polyseme.storage.user_cache import cache_folder, cached_file, remove_given_up, writing

_KIND = "codes"
_MOST_ROWS = 4 * 2**20
"""Of a segment: what a build that ends early loses at most, and 250 MB of 384 dimensions."""
_JOINED = 4
"""Segments of about one size that are joined: so a row is copied a few times, however many commits there are."""
_PARTS_OF_FRAME, _ROWS_OF_FRAME, _NUMBERS_OF_FRAME = 32, 65_536, 65_536 * 384
"""Parts whose vectors the centre and the cells of a new index are of, or more if they are small; how many these vectors
are, and how many numbers they have in all, at most."""
_TRIES = 5
"""How often what other processes write and remove meanwhile is read again."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that say nothing of the file that cannot be opened."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows of the new parts are in the index already, of how many."""

    done: int
    rows: int


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Index:
    """The segments with all live parts of a snapshot; `used` are the parts whose rows are taken from each."""

    segments: tuple[Segment, ...]
    used: tuple[frozenset[str], ...]


class IndexFiles:
    """The files of the index of one table of an encoding, of this user. Raises LakeError if there can be none."""

    def __init__(self, lake: Lake, snapshot: Snapshot, encoding: Encoding, table: str) -> None:
        if cache_folder() is None:
            raise LakeError("There is no folder for an index of vectors. Set XDG_CACHE_HOME to one you can write.")
        self._lake, self._width = lake, encoding.spec.width
        self._name = f"{snapshot.lake_id}-{encoding.encoding_id}-{table}"
        self._parts = snapshot.parts.get((encoding.encoding_id, table), ())

    def open(self, check: Callable[[], None], report: Report) -> Index:
        """Return the index, after adding what is new to it. `check` is called often, and raises to stop.

        Raises PartError, and OSError if the folder cannot be written.
        """
        for _ in range(_TRIES):
            segments = self._segments()
            new = self._new(segments)
            if not new:
                return self._index(segments)
            self._add(new, segments[0].frame if segments else None, check, report)
            segments = self._segments()
            if group := self._to_join(segments):
                self._rewrite(group, segments, check)
        raise OSError(errno.EBUSY, "other processes remove the index while it is made")

    def rows(self) -> int:
        """Return how many rows the index has or will have, those included that are not shown. Raises PartError."""
        segments = self._segments()
        known = sum(segment.rows_of(used) for segment, used in self._used(segments))
        return known + sum(self._rows(part) for part in self._new(segments))

    def forget_gone(self) -> None:
        """Take out what is of parts that are gone. Raises OSError."""
        segments = self._segments()
        for path in set(self._files()).difference(segment.path for segment in segments):  # of another frame
            path.unlink(missing_ok=True)
        live = set(self._parts)
        if group := [segment for segment in segments if not live.issuperset(segment.parts)]:
            self._rewrite(group, segments, lambda: None)

    def _new(self, segments: Sequence[Segment]) -> list[str]:
        known = {part for segment in segments for part in segment.parts}
        return [part for part in self._parts if part not in known]

    def _index(self, segments: Sequence[Segment]) -> Index:
        used = [(segment, parts) for segment, parts in self._used(segments) if parts]
        return Index(tuple(segment for segment, _ in used), tuple(parts for _, parts in used))

    def _used(self, segments: Sequence[Segment]) -> Iterator[tuple[Segment, frozenset[str]]]:
        """Yield segments with those of their parts that are live, each of these once."""
        wanted = set(self._parts)
        for segment in segments:
            used = frozenset(wanted.intersection(segment.parts))
            wanted -= used
            yield segment, used

    def _segments(self) -> list[Segment]:
        """Return the segments that can be read, those with most rows first, all of one frame."""
        read = dict[Path, Segment]()
        for _ in range(_TRIES):
            files = self._files()
            for path in files:
                if path not in read and (segment := self._read(path)):
                    read[path] = segment
            if read.keys() >= set(files):
                break  # else another process has joined some of them, meanwhile
        found = sorted(read.values(), key=lambda segment: (-segment.rows, segment.path.name))
        return [segment for segment in found if segment.frame.identity == found[0].frame.identity]

    def _read(self, path: Path) -> Segment | None:
        """Return a segment; None for one that is gone or damaged, which is removed."""
        try:
            return Segment(path, self._width)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno in _EXHAUSTED:
                raise
            with suppress(OSError):
                path.unlink()
            return None

    def _files(self) -> list[Path]:
        return sorted(self._file("any").parent.glob(f"{self._name}-*.codes"))

    def _file(self, name: str) -> Path:
        file = cached_file(_KIND, f"{self._name}-{name}", "codes")
        if file is None:
            raise LakeError(f"There can be no index of vectors for a lake with the id {self._name!a}.")
        return file

    def _add(self, new: Sequence[str], frame: Frame | None, check: Callable[[], None], report: Report) -> None:
        sizes = [self._rows(part) for part in new]
        progress = Progress(0, sum(sizes))
        report(progress)
        for some, rows in _grouped(new, sizes):
            frame = self._frame(new, sizes, check) if frame is None else frame
            self._write(frame, self._pieces(some, frame), rows, check)
            progress = Progress(progress.done + rows, progress.rows)
            report(progress)

    def _frame(self, new: Sequence[str], sizes: Sequence[int], check: Callable[[], None]) -> Frame:
        """Return the frame of a new index, which stays: of the largest parts, since the first may be a first try."""
        largest = sorted(zip(sizes, new, strict=True), reverse=True)
        wanted = min(_ROWS_OF_FRAME, _NUMBERS_OF_FRAME // self._width)
        ends = np.cumsum([rows for rows, _ in largest])
        count = max(_PARTS_OF_FRAME, int(np.searchsorted(ends, wanted)) + 1)
        largest, share = largest[:count], min(wanted / max(ends[:count][-1], 1), 1)
        with ExitStack() as opened:
            files = [(opened.enter_context(self._fetched(part)), ceil(rows * share)) for rows, part in largest]
            return frame_of(files, self._width, check)

    def _rows(self, part: str) -> int:
        with self._fetched(part) as file:
            return rows_of(file)

    def _pieces(self, parts: Sequence[str], frame: Frame) -> Iterator[Piece]:
        for part in parts:
            with self._fetched(part) as file:
                yield piece_of_part(part, file, frame)

    @contextmanager
    def _fetched(self, part: str) -> Iterator[Path]:
        with reading_parts(), self._lake.files.fetched(part) as file:
            yield file

    def _write(self, frame: Frame, pieces: Iterator[Piece], rows: int, check: Callable[[], None]) -> None:
        file = self._file(uuid4().hex)
        with writing(file) as written:
            write_segment(written, frame, pieces, rows, check)
        remove_given_up(file.parent)

    def _to_join(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return the segments that should become one: mostly gone, or small and of about one size."""
        gone = [segment for segment, used in self._used(segments) if 2 * segment.rows_of(used) < segment.rows]
        small: list[Segment] = []
        rows = 0
        for segment in reversed(segments):
            if rows + segment.rows > _MOST_ROWS or (len(small) >= _JOINED and segment.rows > 2 * rows):
                break
            small.append(segment)
            rows += segment.rows
        return [segment for segment in segments if segment in gone or (len(small) >= _JOINED and segment in small)]

    def _rewrite(self, group: Sequence[Segment], segments: Sequence[Segment], check: Callable[[], None]) -> None:
        """Put one segment of the live parts in place of a group of the segments."""
        used = [(segment, parts) for segment, parts in self._used(segments) if segment in group and parts]
        if used:
            pieces = (
                segment.piece(number)
                for segment, parts in used
                for number, part in enumerate(segment.parts)
                if part in parts
            )
            self._write(group[0].frame, pieces, sum(segment.rows_of(parts) for segment, parts in used), check)
        for segment in group:
            segment.path.unlink(missing_ok=True)


def _grouped(parts: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[list[str], int]]:
    """Yield parts for one segment after another, with their rows."""
    some: list[str] = []
    rows = 0
    for part, size in zip(parts, sizes, strict=True):
        if some and rows + size > _MOST_ROWS:
            yield some, rows
            some, rows = [], 0
        some.append(part)
        rows += size
    if some:
        yield some, rows


def forget_gone(snapshot: Snapshot, lake: Lake) -> None:
    """Take out of this user's indexes of a lake what is of parts, or encodings, that are gone."""
    folder = cached_file(_KIND, "any", "codes")
    if folder is None:
        return
    kept = set[Path]()
    with suppress(OSError, LakeError):  # a folder of somebody else, or a full disk
        for encoding in snapshot.encodings:
            for table in ("sentences", "words"):
                files = IndexFiles(lake, snapshot, encoding, table)
                files.forget_gone()
                kept.update(files._files())
        for file in folder.parent.glob(f"{snapshot.lake_id}-*.codes"):
            if file not in kept:
                with suppress(OSError):
                    file.unlink()
