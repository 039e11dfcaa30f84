"""The records of one CSV or TSV stream: rows under a header. Knows its dialect, not the origin of the stream."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import (
    BLOCK,
    MANY_BLANK_LINES,
    LongLine,
    bounded_lines,
    pushed_back,
    skip_blank_lines,
    with_newlines,
)
from polyseme.tasks.reading.charset import as_utf8, sniff
from polyseme.tasks.reading.dialect import Dialect, dialect_of
from polyseme.tasks.reading.documents import Place, ReadOptions, document_from
from polyseme.tasks.reading.normalization import normalise

_MOST_COLUMNS = 100_000
"""Each takes 100 bytes and more, and a header may be as long as a row."""

_BLANK = (b"\n", b"\r\n")
_MARK = "\ufeff"
"""A byte order mark, at the beginning of each of several files that were joined."""


class _RowTooLong(Exception):
    """A row is longer than the limit; `head` is its beginning."""

    def __init__(self, head: str | bytes) -> None:
        super().__init__()
        self.head = head


class _Lines:
    """Decoded lines for `csv.reader`, with the state of the row they belong to."""

    def __init__(self, stream: io.BufferedReader, limit: int, quote: str) -> None:
        self._stream = stream
        self._quote = quote.encode()
        self._lines = bounded_lines(stream, limit, quote=self._quote)
        self._limit = limit
        self._bytes = 0
        self._quotes = 0
        self.number = 0
        self.damaged = False
        self.head = ""

    def start_row(self) -> None:
        """Reset the state of the row."""
        self._bytes = self._quotes = 0
        self.damaged = False
        self.head = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        blank = 0
        while not self._bytes and line in _BLANK:  # between rows; a bomb may be a hundred million of these
            blank += 1
            if blank % MANY_BLANK_LINES == 0:
                self.number += skip_blank_lines(self._stream, b"\r\n")
            line = next(self._lines)
            self.number += 1
        if isinstance(line, LongLine):
            self._skip_row(line.quotes)
            raise _RowTooLong(self.head or line.head)
        self._bytes += len(line)
        quotes = self._quotes_in(line)
        if self._bytes > self._limit:
            self._skip_row(quotes)
            raise _RowTooLong(self.head)
        self._quotes += quotes
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.damaged = True
            text = line.decode(errors="surrogateescape")
        text = text.removeprefix(_MARK)
        self.head = self.head or text[:400]
        return text

    def _skip_row(self, quotes: int) -> None:
        """Skip lines up to the one that closes the open quote: they are cells, not rows."""
        quotes += self._quotes
        while quotes % 2 and (line := next(self._lines, None)) is not None:
            self.number += 1
            quotes += line.quotes if isinstance(line, LongLine) else self._quotes_in(line)

    def _quotes_in(self, line: bytes) -> int:
        return line.count(self._quote) if self._quote else 0


def read_delimited(
    stream: io.BufferedReader, declared: str | None, uri: str, options: ReadOptions, *, tabs: bool
) -> Iterator[Document | Reject]:
    """Yield the rows below a header row as documents. Raises UnicodeDecodeError if the rest cannot be decoded."""
    whole = Place(uri, "", uri)
    sample = stream.read(BLOCK)
    encoding = "utf-8" if declared else sniff(sample, complete=len(sample) < BLOCK)
    if encoding is None:
        message = "neither UTF-8 nor an encoding that can be detected from its bytes; convert it to UTF-8"
        yield whole.refuse("undecodable", message, of=sample[:400])
        return
    stream = pushed_back(sample, stream)
    stream = with_newlines(stream if encoding == "utf-8" else as_utf8(stream, encoding))
    dialect = _dialect(stream.peek(), options, tabs=tabs)
    lines = _Lines(stream, options.max_line_bytes, dialect.quote)
    rows = _rows(lines, uri, options, dialect)
    first = next(rows, None)
    if first is None:
        yield whole.refuse("empty-file", "no header row in it; write one, or remove the file")
        return
    names = _names(*first, header=options.header)
    if isinstance(names, Reject):
        yield names
        return
    if not options.header:
        rows = chain([first], rows)
    label = declared or encoding
    row = None
    for row in rows:
        yield _document(*row, names, lines, options, encoding=None if label == "utf-8" else label)
    if row is None:
        yield whole.refuse("empty-file", "a header row but no record under it; add records or remove the file")


def _dialect(beginning: bytes, options: ReadOptions, *, tabs: bool) -> Dialect:
    whole_lines = beginning[: beginning.rfind(b"\n") + 1] or beginning
    return dialect_of(
        whole_lines.decode(errors="replace"), text_field=options.text_field, tabs=tabs, header=options.header,
        delimiter="\t" if options.delimiter == "tab" else options.delimiter,
        quote="" if options.quote == "none" else options.quote,
    )  # fmt: skip


def _rows(
    lines: _Lines, uri: str, options: ReadOptions, dialect: Dialect
) -> Iterator[tuple[Place, list[str] | Reject]]:
    """Yield the header, if there is one, and every row with its place, or the reject of one that cannot be read.

    Blank lines are skipped.
    """
    # The limit is global to the process: it is only raised, so that no other reader loses rows.
    csv.field_size_limit(max(csv.field_size_limit(), options.max_line_bytes))
    reader = dialect.reader(lines)
    number = 0 if options.header else 1
    while True:
        lines.start_row()
        first = lines.number + 1
        place = Place(uri, f"row {number}" if number else "header", f"{uri}#{number}")
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _RowTooLong as error:
            message = f"the row is longer than {options.max_line_bytes:,} bytes (lines {first} to {lines.number})"
            reject = place.refuse("line-too-long", f"{message}; close its quotes or raise --max-line-mb", of=error.head)
            yield place, reject
        except csv.Error as error:
            message = (
                f"not a row of CSV, lines {first} to {lines.number} ({error}); quote cells and double inner quotes, "
                "or say with --quote and --delimiter how cells are told apart"
            )
            yield place, place.refuse("bad-row", message, of=lines.head)
        else:
            if not cells:
                continue
            yield place, cells
        number += 1


def _names(place: Place, cells: list[str] | Reject, *, header: bool) -> list[str] | Reject:
    """Return the names of the columns, each once."""
    if isinstance(cells, Reject):
        return cells
    if len(cells) > _MOST_COLUMNS:
        return place.refuse("bad-row", f"the header has {len(cells):,} columns; at most {_MOST_COLUMNS:,} are read")
    return each_once([(header and normalise(cell)) or f"column_{i}" for i, cell in enumerate(cells, start=1)])


def each_once(columns: Sequence[str]) -> list[str]:
    """Return names of columns: one that occurs again has a number, which makes it another."""
    names = list(columns)
    taken, times = set(names), Counter[str]()
    for i, name in enumerate(names):
        times[name] += 1
        if times[name] > 1:
            names[i] = next(new for n in count(times[name]) if (new := f"{name}_{n}") not in taken)
            taken.add(names[i])
    return names


def _document(
    place: Place,
    cells: list[str] | Reject,
    names: list[str],
    lines: _Lines,
    options: ReadOptions,
    *,
    encoding: str | None,
) -> Document | Reject:
    if isinstance(cells, Reject):
        return cells
    if len(cells) != len(names):
        message = (
            f"the header has {len(names)} columns, this row (up to line {lines.number}) {len(cells)}; quote its cells"
        )
        return place.refuse("bad-row", message, of=lines.head)
    fields: dict[str, object] = dict(zip(names, cells, strict=True))
    if not lines.damaged:
        return document_from(fields, place, options, encoding=encoding)
    known = document_from(fields, place, options)  # only for its id: the cells have escaped bytes
    if isinstance(known, Reject) and known.code == "bad-id":
        return known
    message = (
        f"bytes that are not {encoding or 'UTF-8'} in the row up to line {lines.number}; repair or convert the file"
    )
    return place.refuse("invalid-utf8", message, of=lines.head, doc_id=known.doc_id)
