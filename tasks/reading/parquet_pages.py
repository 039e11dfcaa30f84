"""The sizes of a Parquet file before anything is decoded, from its page headers. Knows no values.

The footer of a file can claim any size, but memory is allocated by the header before each page (parquet.thrift).
Reading the headers alone takes some microseconds a page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from polyseme.storage.parquet.page_headers import RowGroup, pages
from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION, ExpansionError

FREE_ROWS = 1 << 20
_FREE_PAGES = 8
"""Documents of the largest size that the pages in memory may take. Writers put 1,024 texts on a page, however long."""
_MOST_PAGE_EXPANSION = 20
_LEVEL_BYTES = 4
"""Of a value in a list: its definition and repetition level."""
SMALLER = "If this is intended, write it with smaller row groups, without its lists, or raise --max-document-mb"
_DELTA_LENGTH_BYTES, _DELTA_BYTES = 6, 7
"""Encodings of strings that Arrow cannot read as a dictionary. A value of the second may be as long as its page."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the page headers of a row group tell its reader.

    `plain` are the string columns that cannot be read as dictionaries, `longest` the most bytes that one value of them
    may have although its page is shorter than all its values.
    """

    plain: frozenset[int]
    longest: int


def check_rows(file: Any, size: int) -> None:
    """Raise ExpansionError for a file of `size` bytes that declares far more rows than these can hold."""
    rows = file.metadata.num_rows
    if rows > FREE_ROWS and rows > MOST_EXPANSION * size:
        raise ExpansionError(f"{size:,} bytes declare {rows:,} rows", SMALLER)


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


def _width(leaf: Any) -> int:
    """Return the bytes of a decoded value; for strings those of its index, since they are read as dictionaries."""
    fixed = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4, "FIXED_LEN_BYTE_ARRAY": leaf.length}
    return int(fixed.get(leaf.physical_type, 12))
