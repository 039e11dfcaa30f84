"""Vectors of candidates, read from their parts: where an index says they lie, or through Parquet where it does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from polyseme.storage.lake import Lake
from polyseme.storage.parquet.part_vectors import PartVectors
from polyseme.storage.search.candidates import Candidates
from polyseme.storage.search.pieces import Integers, reading_parts
from polyseme.storage.tiers import Halves


class CandidateVectors:
    """The vectors of a lake in a folder. Safe to share between threads."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[str, Path] = {}

    def read(self, found: Candidates, check: Callable[[], None]) -> Halves:
        """Return the vectors of candidates `(rows, width)`. `check` is called before each file, and raises to stop.

        Raises PartError.
        """
        segment = found.segment
        part, at = segment.places_of(found.rows)
        vectors = np.empty((len(found.rows), segment.frame.width), np.float16)
        for number in np.unique(part).tolist():
            check()
            mine = np.flatnonzero(part == number)
            with reading_parts():
                file = self._file(segment.parts[number])
                if (at[mine] >= 0).all():
                    vectors[mine] = _plain(file, at[mine], segment.frame.width)
                else:
                    rows = found.rows[mine] - segment.starts[number]
                    with pq.ParquetFile(file) as opened, file.open("rb") as raw:
                        vectors[mine] = PartVectors(opened, raw, segment.frame.width).rows(rows)
        return vectors

    def _file(self, part: str) -> Path:
        if part not in self._known:
            with self._lake.files.fetched(part) as file:
                self._known[part] = file
        return self._known[part]


def _plain(file: Path, places: Integers, width: int) -> Halves:
    with file.open("rb", buffering=0) as raw:
        read, number = os.pread, raw.fileno()
        data = b"".join([read(number, 2 * width, place) for place in places.tolist()])
    if len(data) != 2 * width * len(places):
        raise OSError("the file ends within its vectors")
    return np.frombuffer(data, "<f2").reshape(-1, width)
