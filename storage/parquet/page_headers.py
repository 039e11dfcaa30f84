"""Page headers: where the pages of a Parquet file lie and how large they are, read without decoding a value.

The bytes may be anything: what is read here is checked here, and a damaged header ends the reading of its column.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from polyseme.storage.parquet.thrift import I32, I64, LIST, STRUCT, Compact

_HEAD, _MOST_HEADER = 512, 16 << 20
_DATA, _DATA_V2, _DICTIONARY = 5, 8, 7
"""Fields of a page header that hold the number of its values."""
_ENCODING_AT = {_DATA: 2, _DATA_V2: 4}


@dataclass(frozen=True, slots=True)
class Page:
    """The header of one page. `values` includes nulls and, of a list, every element.

    `at` is where the page's compressed bytes begin in the file.
    """

    is_dictionary: bool
    bytes: int
    compressed_bytes: int
    values: int
    encoding: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """A column of a row group: how many values it declares, and where its pages start."""

    values: int
    start: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group as the footer describes it; `bytes` are declared, uncompressed."""

    chunks: tuple[ColumnChunk, ...]
    bytes: int
    rows: int


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


def pages(raw: BinaryIO, chunk: ColumnChunk) -> Iterator[Page]:
    """Yield the page headers of a column chunk, up to the first that is damaged, where Arrow stops too."""
    seen, position = 0, chunk.start
    while seen < chunk.values:
        found = _page_at(raw, position)
        if found is None:
            return
        yield found
        seen += 0 if found.is_dictionary else found.values
        position = found.at + found.compressed_bytes


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


def _page_at(raw: BinaryIO, position: int) -> Page | None:
    """Return the page whose header is at `position`; None if there is none."""
    size = _HEAD
    while size <= _MOST_HEADER:
        try:
            raw.seek(position)
            data = raw.read(size)
            return _parsed(data, position)
        except IndexError:
            if len(data) < size:
                return None
            size *= 8
        except (ValueError, OSError, OverflowError):
            return None
    return None


def _parsed(data: bytes, position: int) -> Page:
    """Raises IndexError if `data`, which is at `position`, is too short, ValueError if it is not a header."""
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
    return Page(kind == _DICTIONARY, numbers[2], numbers[3], values or 0, encoding, position + reader.at)
