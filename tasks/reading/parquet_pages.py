"""The sizes of a Parquet file before anything is decoded, from its page headers. Knows no values.

The footer of a file can claim any size, but memory is allocated by the header before each page (Thrift's compact
protocol, parquet.thrift). Reading the headers alone takes some microseconds a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION, ExpansionError

FREE_ROWS = 1 << 20
_FREE_PAGES = 8
"""Documents of the largest size that the pages in memory may take. Writers put 1,024 texts on a page, however long."""
_MOST_PAGE_EXPANSION = 20
_LEVEL_BYTES = 4
"""Of a value in a list: its definition and repetition level."""
SMALLER = "If this is intended, write it with smaller row groups, without its lists, or raise --max-document-mb"
_HEAD, _MOST_HEADER = 512, 16 << 20
_I32, _BINARY, _STRUCT = 5, 8, 12
_DATA, _DATA_V2, _DICTIONARY = 5, 8, 7
"""Fields of a page header that hold the number of its values."""


@dataclass(frozen=True, slots=True)
class Page:
    """The header of one page. `values` includes nulls and, of a list, every element."""

    is_dictionary: bool
    bytes: int
    compressed_bytes: int
    values: int


def check_rows(file: Any, size: int) -> None:
    """Raise ExpansionError for a file of `size` bytes that declares far more rows than these can hold."""
    rows = file.metadata.num_rows
    if rows > FREE_ROWS and rows > MOST_EXPANSION * size:
        raise ExpansionError(f"{size:,} bytes declare {rows:,} rows", SMALLER)


def check_row_group(file: Any, raw: BinaryIO, group: int, columns: Sequence[int], *, max_document_bytes: int) -> None:
    """Raise ExpansionError if decoding these leaf columns of a row group takes far more memory than its bytes justify.

    Checked are the pages in memory at once, all bytes of all pages, and the values of lists, which one row may hold.
    """
    compressed = total = in_memory = listed = 0
    metadata = file.metadata.row_group(group)
    for number in columns:
        chunk, leaf = metadata.column(number), file.schema.column(number)
        largest = [0, 0]
        for page in pages(raw, chunk):
            compressed += page.compressed_bytes
            total += page.bytes
            largest[page.is_dictionary] = max(largest[page.is_dictionary], page.bytes)
        in_memory += sum(largest)
        if leaf.max_repetition_level:
            listed += chunk.num_values * (_LEVEL_BYTES + max(_width(leaf), 1))
    where = f"row group {group + 1}: {compressed:,} bytes"
    if in_memory > max(_FREE_PAGES * max_document_bytes, _MOST_PAGE_EXPANSION * compressed):
        raise ExpansionError(f"{where} have pages of {in_memory:,} bytes", SMALLER)
    if max(total, listed) > max(FREE_BYTES, MOST_EXPANSION * compressed):
        raise ExpansionError(f"{where} expand to {max(total, listed):,}, {MOST_EXPANSION} times as many", SMALLER)


def pages(raw: BinaryIO, chunk: Any) -> Iterator[Page]:
    """Yield the page headers of a column chunk, up to the first that is damaged, where Arrow stops too."""
    position = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < position:
        position = chunk.dictionary_page_offset
    seen = 0
    while seen < chunk.num_values:
        found = _page_at(raw, position)
        if found is None:
            return
        page, length = found
        yield page
        seen += 0 if page.is_dictionary else page.values
        position += length + page.compressed_bytes


def _width(leaf: Any) -> int:
    """Return the bytes of a decoded value; for strings those of its index, since they are read as dictionaries."""
    fixed = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4, "FIXED_LEN_BYTE_ARRAY": leaf.length}
    return int(fixed.get(leaf.physical_type, 12))


def _page_at(raw: BinaryIO, position: int) -> tuple[Page, int] | None:
    """Return the page whose header is at `position`, and the header's length; None if there is none."""
    size = _HEAD
    while size <= _MOST_HEADER:
        try:
            raw.seek(position)
            data = raw.read(size)
            return _parsed(data)
        except IndexError:
            if len(data) < size:
                return None
            size *= 8
        except (ValueError, OSError, OverflowError):
            return None
    return None


def _parsed(data: bytes) -> tuple[Page, int]:
    """Raises IndexError if `data` is too short, ValueError if it is not a header."""
    reader = _Compact(data)
    numbers: dict[int, int] = {}
    values = None
    kind = 0
    for field, of in reader.fields():
        if of == _I32:
            numbers[field] = reader.i32()
        elif of == _STRUCT and field in (_DATA, _DATA_V2, _DICTIONARY):
            kind = field
            for inner, inner_type in reader.fields():
                if inner == 1 and inner_type == _I32:
                    values = reader.i32()
                else:
                    reader.skip(inner_type)
        else:
            reader.skip(of)
    if 2 not in numbers or 3 not in numbers or min(numbers[2], numbers[3], values or 0) < 0:
        raise ValueError("not a page header")
    return Page(kind == _DICTIONARY, numbers[2], numbers[3], values or 0), reader.at


class _Compact:
    """Thrift's compact protocol, read from the start of `data`."""

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

    def i32(self) -> int:
        return (_signed(self._varint()) + (1 << 31)) % (1 << 32) - (1 << 31)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value. Raises ValueError for an unknown type and for nesting that no header has."""
        if depth > 8:
            raise ValueError("nested too deeply")
        if kind in (1, 2):  # a boolean field has its value in its type
            return
        if kind == 3:
            self.at += 1
        elif kind in (4, _I32, 6):
            self._varint()
        elif kind == 7:
            self.at += 8
        elif kind == _BINARY:
            self.at += self._varint()
        elif kind in (9, 10):
            self._skip_list(depth)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise ValueError(f"type {kind} is not of a page header")

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        if count > len(self._data):
            raise IndexError
        for _ in range(count):
            # In a list a boolean takes a byte.
            self.skip(3 if head & 15 in (1, 2) else head & 15, depth + 1)

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
