"""Thrift's compact protocol, as far as Parquet's metadata needs it: read from bytes that may be anything."""

from __future__ import annotations

from collections.abc import Iterator

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
"""Types of fields."""
_MOST_DEPTH = 16


class Compact:
    """A reader from the start of `data`. Raises IndexError at its end, ValueError for what is not of the protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and type of each field of a struct; the caller reads or skips its value."""
        field = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            field = field + delta if delta else _signed(self._varint())
            yield field, kind

    def i64(self) -> int:
        """Return a whole number."""
        return _signed(self._varint() & 0xFFFFFFFFFFFFFFFF)

    def i32(self) -> int:
        """Return a whole number, cut to 32 bits as readers in C++ do."""
        return _signed(self._varint() & 0xFFFFFFFF)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value. Raises ValueError for an unknown type and for nesting that no metadata has."""
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deeply")
        if kind in (1, 2):  # a boolean field has its value in its type
            return
        if kind == 3:
            self.at += 1
        elif kind in (4, I32, I64):
            self._varint()
        elif kind == 7:
            self.at += 8
        elif kind == BINARY:
            length = self._varint()  # moves self.at, so not in one statement
            self.at += length
        elif kind in (LIST, 10):
            self._skip_list(depth)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise ValueError(f"type {kind} is not of the protocol")

    def items(self) -> tuple[int, int]:
        """Return the number and the type of a list's items, which follow."""
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        if count > len(self._data):
            raise IndexError
        return count, head & 15

    def _skip_list(self, depth: int) -> None:
        count, kind = self.items()
        for _ in range(count):
            self.skip(3 if kind in (1, 2) else kind, depth + 1)  # in a list a boolean takes a byte

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")


def _signed(zigzag: int) -> int:
    return (zigzag >> 1) ^ -(zigzag & 1)
