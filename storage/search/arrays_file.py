"""Arrays file: NumPy arrays in one file that is mapped, not read, with a footer that says where each of them lies.

`numpy.load` maps no archive, and Arrow reads behind the end of its buffers in a file that is damaged: here every array
is inside the file, or the file is refused. What is in it is checked, if it was added as a whole.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_MAGIC = b"polyarr1"
_END = struct.Struct("<II8s")
"""The bytes of the footer, their checksum, and the magic."""
_ALIGNED = 64


class _Place(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    at: int
    checksum: int | None = None
    """Of its bytes; None if it was filled part by part."""


class ArraysWriter:
    """Writes arrays into an empty file that is open for writing; whoever opened it closes it. Raises OSError."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._places = file, dict[str, _Place]()
        self._end = 0

    def reserve(self, name: str, dtype: npt.DTypeLike, shape: Sequence[int]) -> None:
        """Make place for an array that `fill` will write."""
        place = _Place(np.dtype(dtype).newbyteorder("<"), tuple(shape), -(-self._end // _ALIGNED) * _ALIGNED)
        self._places[name] = place
        self._end = place.at + math.prod(place.shape) * place.dtype.itemsize

    def fill(self, name: str, first: int, values: Array) -> None:
        """Write a part of an array, from `first` on in its last dimension: `values` has all of the others."""
        place = self._places[name]
        length = place.shape[-1]
        rows = values.reshape(-1, values.shape[-1])
        for row, numbers in enumerate(rows):
            self._file.seek(place.at + (row * length + first) * place.dtype.itemsize)
            self._file.write(np.ascontiguousarray(numbers, place.dtype).tobytes())

    def add(self, name: str, values: Array) -> None:
        """Write a whole array."""
        self.reserve(name, values.dtype, values.shape)
        place = self._places[name]
        data = np.ascontiguousarray(values, place.dtype)
        self._places[name] = place._replace(checksum=zlib.crc32(data.data))
        if values.size:
            self.fill(name, 0, values)

    def end(self, about: Mapping[str, Any]) -> None:
        """Write the footer, with what the file says of itself."""
        places = {name: (place.dtype.str, *place[1:]) for name, place in self._places.items()}
        footer = json.dumps({"about": about, "arrays": places}).encode()
        self._file.seek(self._end)
        self._file.write(footer + _END.pack(len(footer), zlib.crc32(footer), _MAGIC))


class ArraysFile:
    """The arrays of a file, mapped: they stay readable when the file is removed. `about` is what it says of itself."""

    def __init__(self, path: Path) -> None:
        """Raises OSError for a file that cannot be read, ValueError for one that is damaged or of another kind."""
        with path.open("rb") as file:
            file.seek(0, 2)
            if file.tell() < _END.size:
                raise ValueError("the file is too short")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length, checksum, magic = _END.unpack(self._map[-_END.size :])
        start = len(self._map) - _END.size - length
        if magic != _MAGIC or start < 0:
            raise ValueError("the file has no arrays")
        footer = self._map[start : start + length]
        if zlib.crc32(footer) != checksum:
            raise ValueError("the footer is damaged")
        said = json.loads(footer)
        self.about: dict[str, Any] = said["about"]
        self._places = {
            name: _Place(np.dtype(dtype), tuple(shape), *where)
            for name, (dtype, shape, *where) in said["arrays"].items()
        }
        self._start = start

    def __contains__(self, name: str) -> bool:
        """Return whether there is an array of this name."""
        return name in self._places

    def __getitem__(self, name: str) -> Array:
        """Return an array, read-only. Raises ValueError if there is none of this name, or not all of it as it was."""
        place = self._places.get(name)
        if place is None or place.at + math.prod(place.shape) * place.dtype.itemsize > self._start:
            raise ValueError(f"the file has not all of {name}")
        found = np.frombuffer(self._map, place.dtype, math.prod(place.shape), place.at)
        if place.checksum is not None and zlib.crc32(found.data) != place.checksum:
            raise ValueError(f"the file's {name} are damaged")
        return found.reshape(place.shape)
