"""The records of one stream of JSON lines. Knows one object per line, not the origin of the stream.

Numbers keep the digits that were written, also those beyond 64 bits; of a key that occurs twice the last value counts.
"""

from __future__ import annotations

import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress

import orjson

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import (
    MANY_BLANK_LINES,
    LongLine,
    bounded_lines,
    skip_blank_lines,
    with_newlines,
)
from polyseme.tasks.reading.documents import LongNumber, Place, ReadOptions, document_from

_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_LONG_NUMBER = re.compile(rb"[1-9](?:\.?[0-9]){17}")
"""A number of 18 digits or more, which a float cannot hold. Where it stands does not matter: it may be in a string."""
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_SIGN_OF_ONE = b"0" * 18
"""What the line of such a number contains once all digits are zeros: found at 1 GB/s, the pattern at 50 MB/s."""
_BLANK = b" \t\n\r\v\f"
_WHOLE = frozenset({str, int, bool, type(None)})
_FEW_VALUES = 64
"""More are not looked at one by one."""
_FRACTION = re.compile("[.eE]")


def read_jsonl(stream: io.BufferedReader, uri: str, options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the lines as documents or rejects. Blank lines are skipped."""
    empty = True
    number = blank = 0
    stream = with_newlines(stream)
    for line in bounded_lines(stream, options.max_line_bytes):
        number += 1
        if not isinstance(line, LongLine) and line.isspace():
            blank += 1
            if blank % MANY_BLANK_LINES == 0:
                number += skip_blank_lines(stream, _BLANK)
            continue
        blank = 0
        place = Place(uri, f"line {number}", f"{uri}#{number}")
        if isinstance(line, LongLine):
            message = (
                f"the line is longer than {options.max_line_bytes:,} bytes; split the record or raise --max-line-mb"
            )
            yield place.refuse("line-too-long", message, of=line.head)
        else:
            yield _parsed(line.removeprefix(BOM_UTF8), place, options)
        empty = False
    if empty:
        yield Place(uri, "", uri).refuse("empty-file", "no record in it; write one JSON object per line or remove it")


def _parsed(line: bytes, place: Place, options: ReadOptions) -> Document | Reject:
    try:
        record = loads(line)
    except orjson.JSONDecodeError as error:
        return not_json(error, line, place, "every line must be one JSON object")
    if not isinstance(record, dict):
        message = f"expected a JSON object with the text in a field, this is a JSON {type(record).__name__}"
        return place.refuse("not-an-object", message, of=line)
    return document_from(record, place, options)


def not_json(error: orjson.JSONDecodeError, data: bytes, place: Place, wanted: str) -> Reject:
    """Return the reject of what orjson did not read, with what was `wanted`."""
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        where = "the line" if place.locator else "the file"
        message = f"invalid UTF-8 at byte {bad.start:,} of {where} ({bad.reason}); convert the file to UTF-8"
        return place.refuse("invalid-utf8", message, of=data[:400])
    line = "" if place.locator else f"line {error.lineno:,}, "
    message = f"not JSON ({error.msg}, {line}column {error.colno:,}); {wanted}"
    return place.refuse("bad-json", message, of=data[:400])


def loads(line: bytes) -> object:
    """Return a JSON value. Raises orjson.JSONDecodeError."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        # Half a surrogate pair is legal JSON, as written by tools that cut strings by UTF-16 units.
        repaired = _ESCAPES.sub(lambda m: rb"\ufffd" if m[1] else m[0], line)
        if repaired == line:
            raise
        return orjson.loads(repaired)
    if isinstance(record, dict) and _WHOLE.issuperset(map(type, record.values())):
        return record
    if _may_be_cut(record, line) and _LONG_NUMBER.search(line):
        with suppress(ValueError, RecursionError):
            return json.loads(line, parse_int=_number, parse_float=_number)
    return record


def _may_be_cut(record: object, line: bytes) -> bool:
    """Return whether orjson may have cut digits: it reads as a float what does not fit 64 bits.

    A float that was written as Python writes it is whole.
    """
    position = visited = 0
    waiting = [record]
    while waiting:
        value = waiting.pop()
        visited += 1
        if visited > _FEW_VALUES:
            return _SIGN_OF_ONE in line.translate(_DIGITS, b".")
        if isinstance(value, float):
            written = repr(value).encode()
            position = line.find(written, position) + len(written)
            if position < len(written) or line[position : position + 1].isdigit():
                return True
        elif isinstance(value, dict):
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(value[_FEW_VALUES::-1])
    return False


def _number(written: str) -> int | float | LongNumber:
    if not _LONG_NUMBER.search(written.encode()):
        return float(written) if _FRACTION.search(written) else int(written)
    fits = len(written) <= 20 and not _FRACTION.search(written) and -(1 << 63) <= int(written) < 1 << 64
    return int(written) if fits else LongNumber(written)
