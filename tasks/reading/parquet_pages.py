"""The sizes of a Parquet file before anything is decoded, from its page headers. Knows no values.

The footer of a file can claim any size, but memory is allocated by the header before each page (parquet.thrift).
Reading the headers alone takes some microseconds a page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION, ExpansionError
from polyseme.tasks.reading.thrift import I32, I64, LIST, STRUCT, Compact

FREE_ROWS = 1 << 20
_FREE_PAGES = 8
"""Documents of the largest size that the pages in memory may take. Writers put 1,024 texts on a page, however long."""
_MOST_PAGE_EXPANSION = 20
_LEVEL_BYTES = 4
"""Of a value in a list: its definition and repetition level."""
SMALLER = "If this is intended, write it with smaller row groups, without its lists, or raise --max-document-mb"
_HEAD, _MOST_HEADER = 512, 16 << 20
_DATA, _DATA_V2, _DICTIONARY = 5, 8, 7
"""Fields of a page header that hold the number of its values."""
_ENCODING_AT = {_DATA: 2, _DATA_V2: 4}
_DELTA_LENGTH_BYTES, _DELTA_BYTES = 6, 7
"""Encodings of strings that Arrow cannot read as a dictionary. A value of the second may be as long as its page."""


@dataclass(frozen=True, slots=True)
class Page:
    """The header of one page. `values` includes nulls and, of a list, every element."""

    is_dictionary: bool
    bytes: int
    compressed_bytes: int
    values: int
    encoding: int = 0


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """A column of a row group: how many values it declares, and where its pages start."""

    values: int
    start: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What the page headers of a row group tell its reader.

    `plain` are the string columns that cannot be read as dictionaries, `longest` the most bytes that one value of them
    may have although its page is shorter than all its values.
    """

    plain: frozenset[int]
    longest: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group as the footer describes it; `bytes` are declared, uncompressed."""

    chunks: tuple[ColumnChunk, ...]
    bytes: int
    rows: int


def check_rows(file: Any, size: int) -> None:
    """Raise ExpansionError for a file of `size` bytes that declares far more rows than these can hold."""
    rows = file.metadata.num_rows
    if rows > FREE_ROWS and rows > MOST_EXPANSION * size:
        raise ExpansionError(f"{size:,} bytes declare {rows:,} rows", SMALLER)


def row_groups(raw: BinaryIO) -> Iterator[RowGroup]:
    """Yield the row groups that the footer describes. Raises OSError for a footer that is damaged.

    Read here, because an error in a column's metadata ends the process if pyarrow is asked for it: it crosses a C++
    function that may not throw.
    """
    size = raw.seek(-8, os.SEEK_END)
    length = int.from_bytes(raw.read(4), "little")
    raw.seek(max(size - length, 0))
    footer = Compact(raw.read(length))
    try:
        for field, kind in footer.fields():
            if (field, kind) != (4, LIST):
                footer.skip(kind)
                continue
            for _ in range(footer.items()[0]):
                yield _row_group(footer)
    except (IndexError, ValueError) as error:
        raise OSError("the footer is damaged") from error


def check_row_group(
    file: Any, raw: BinaryIO, group: RowGroup, columns: Sequence[int], *, max_document_bytes: int
) -> Checked:
    """Raise ExpansionError if decoding these leaf columns of a row group takes far more memory than its bytes justify.

    Checked are the pages in memory at once, all bytes of all pages, and the values of lists, which one row may hold.
    """
    compressed = total = in_memory = listed = longest = 0
    plain = set()
    size = raw.seek(0, os.SEEK_END)
    for number in columns:
        if number >= len(group.chunks):
            raise OSError("a column is missing in a row group")
        chunk, leaf = group.chunks[number], file.schema.column(number)
        largest, values, shared = [0, 0], 0, False
        for page in pages(raw, chunk):
            if page.compressed_bytes > size:
                raise OSError("a page is larger than the file")
            compressed += page.compressed_bytes
            total += page.bytes
            largest[page.is_dictionary] = max(largest[page.is_dictionary], page.bytes)
            values += 0 if page.is_dictionary else page.values
            if page.encoding in (_DELTA_LENGTH_BYTES, _DELTA_BYTES):
                plain.add(number)
                shared |= page.encoding == _DELTA_BYTES
        in_memory += sum(largest)
        longest = max(longest, largest[False] if shared else 0)
        if leaf.max_repetition_level:
            width = largest[False] if shared else max(_width(leaf), 1)
            listed += max(chunk.values, values) * (_LEVEL_BYTES + width)
    compressed = min(compressed, size)  # columns may share their bytes
    where = f"{compressed:,} bytes of a row group"
    if in_memory > max(_FREE_PAGES * max_document_bytes, _MOST_PAGE_EXPANSION * compressed):
        raise ExpansionError(f"{where} have pages of {in_memory:,} bytes", SMALLER)
    if max(total, listed) > max(FREE_BYTES, MOST_EXPANSION * compressed):
        raise ExpansionError(f"{where} expand to {max(total, listed):,}, {MOST_EXPANSION} times as many", SMALLER)
    return Checked(frozenset(plain), longest)


def pages(raw: BinaryIO, chunk: ColumnChunk) -> Iterator[Page]:
    """Yield the page headers of a column chunk, up to the first that is damaged, where Arrow stops too."""
    seen, position = 0, chunk.start
    while seen < chunk.values:
        found = _page_at(raw, position)
        if found is None:
            return
        page, length = found
        yield page
        seen += 0 if page.is_dictionary else page.values
        position += length + page.compressed_bytes


def _row_group(footer: Compact) -> RowGroup:
    numbers: dict[int, int] = {}
    chunks: list[ColumnChunk] = []
    for field, kind in footer.fields():
        if kind == I64:
            numbers[field] = footer.i64()
        elif (field, kind) == (1, LIST):
            chunks = [_column_chunk(footer) for _ in range(footer.items()[0])]
        else:
            footer.skip(kind)
    return RowGroup(tuple(chunks), numbers.get(2, 0), numbers.get(3, 0))


def _column_chunk(footer: Compact) -> ColumnChunk:
    numbers: dict[int, int] = {}
    for field, kind in footer.fields():
        if (field, kind) != (3, STRUCT):
            footer.skip(kind)
            continue
        for inner, inner_kind in footer.fields():
            if inner_kind == I64:
                numbers[inner] = footer.i64()
            else:
                footer.skip(inner_kind)
    data, dictionary = numbers.get(9, 0), numbers.get(11, 0)
    return ColumnChunk(numbers.get(5, 0), dictionary if 0 < dictionary < data else data)


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
    reader = Compact(data)
    numbers: dict[int, int] = {}
    values = None
    kind = encoding = 0
    for field, of in reader.fields():
        if of == I32:
            numbers[field] = reader.i32()
        elif of == STRUCT and field in (_DATA, _DATA_V2, _DICTIONARY):
            kind = field
            for inner, inner_type in reader.fields():
                if inner == 1 and inner_type == I32:
                    values = reader.i32()
                elif inner == _ENCODING_AT.get(field) and inner_type == I32:
                    encoding = reader.i32()
                else:
                    reader.skip(inner_type)
        else:
            reader.skip(of)
    if 2 not in numbers or 3 not in numbers or min(numbers[2], numbers[3], values or 0) < 0:
        raise ValueError("not a page header")
    return Page(kind == _DICTIONARY, numbers[2], numbers[3], values or 0, encoding), reader.at
