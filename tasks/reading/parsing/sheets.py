"""XLSX: each sheet a text of its own, a row a line, cells between tabs; numbers as written, dates as ISO 8601."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from polyseme.tasks.reading.parsing.office_parts import core_properties, main_part, opened, relations
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, TooLargeError
from polyseme.tasks.reading.parsing.xml_events import read_xml
from polyseme.tasks.reading.parsing.zip_parts import ZipParts

_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""The numbers of formats of dates and times that Excel has built in."""
_IN_QUOTES = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_OF_DATES = re.compile("[ymdhs]", re.IGNORECASE)
_COLUMN = re.compile(r"([A-Z]{1,3})[0-9]+")
_MOST_GAP = 64
"""Empty cells between two that are kept as such; a wider gap says nothing about the table."""
_EPOCH_1900, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_LAST_SERIAL = 2_958_466.0


def parse_xlsx(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield each sheet that has something in it."""
    parts = opened(data)
    main = main_part(parts, "xl/workbook.xml")
    known = relations(parts, main)
    sheets, epoch = _sheets(parts, main)
    others = {kind: part for kind, part in known.values() if part in parts}
    strings = _strings(parts, others["sharedStrings"], request.most_bytes) if "sharedStrings" in others else []
    dates = _date_styles(parts, others["styles"]) if "styles" in others else frozenset()
    title, metadata = core_properties(parts)
    for name, relation in sheets:
        kind, part = known.get(relation, ("", ""))
        if kind != "worksheet" or part not in parts:
            continue
        rows = _Rows(strings, dates, epoch, request.most_bytes)
        read_xml(parts.chunks(part), start=rows.start, end=rows.end, text=rows.text)
        if text := "\n".join(rows.lines):
            shown = f"{title}: {name}" if title else name
            yield Parsed(text, shown, metadata | {"sheet": name}, part=("sheet", name))


def _sheets(parts: ZipParts, main: str) -> tuple[list[tuple[str, str]], datetime]:
    """Return the names of the sheets with their relations, and the day that dates are counted from."""
    found: list[tuple[str, str]] = []
    epoch = _EPOCH_1900

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal epoch
        if name == "sheet":
            # r:id; `id` alone in a workbook that is read by local names, beside sheetId
            found.append((attributes.get("name", ""), attributes.get("id", "")))
        elif name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            epoch = _EPOCH_1904

    read_xml(parts.chunks(main), start=start, end=_ignore, text=_ignore)
    return found, epoch


def _strings(parts: ZipParts, part: str, most: int) -> list[str]:
    found: list[str] = []
    current: list[str] = []
    in_text = phonetic = False
    size = 0

    def start(name: str, _: Mapping[str, str]) -> None:
        nonlocal in_text, phonetic
        in_text = name == "t" and not phonetic
        phonetic = phonetic or name == "rPh"

    def end(name: str) -> None:
        nonlocal in_text, phonetic
        in_text = False
        if name == "rPh":
            phonetic = False
        elif name == "si":
            found.append("".join(current))
            current.clear()

    def text(value: str) -> None:
        nonlocal size
        if in_text:
            current.append(value)
            size += len(value)
            if size > most:
                raise TooLargeError

    read_xml(parts.chunks(part), start=start, end=end, text=text)
    return found


def _date_styles(parts: ZipParts, part: str) -> frozenset[int]:
    """Return the numbers of the cell styles that show a number as a date or a time."""
    custom: set[str] = set()
    found: set[int] = set()
    inside = False
    number = 0

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal inside, number
        if name == "numFmt" and _OF_DATES.search(_IN_QUOTES.sub("", attributes.get("formatCode", ""))):
            custom.add(attributes.get("numFmtId", ""))
        elif name == "cellXfs":
            inside = True
        elif name == "xf" and inside:
            shown = attributes.get("numFmtId", "")
            if shown in custom or (shown.isdecimal() and len(shown) < 4 and int(shown) in _DATES):
                found.add(number)
            number += 1

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != "cellXfs"

    read_xml(parts.chunks(part), start=start, end=end, text=_ignore)
    return frozenset(found)


class _Rows:
    """The state while a sheet is read; `lines` has the rows so far."""

    def __init__(self, strings: list[str], dates: frozenset[int], epoch: datetime, most: int) -> None:
        self.lines: list[str] = []
        self._strings, self._dates, self._epoch, self._most = strings, dates, epoch, most
        self._row: list[str] = []
        self._value: list[str] = []
        self._in_value = False
        self._column = self._size = 0
        self._kind = self._style = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            self._row = []
        elif name == "c":
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            found = _COLUMN.fullmatch(attributes.get("r", ""))
            self._column = _column(found[1]) if found else len(self._row)
            self._value = []
        elif name in ("v", "t"):
            self._in_value = True

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._in_value = False
        elif name == "c" and (value := self._shown("".join(self._value))):
            gap = self._column - len(self._row)
            self._row += [""] * (gap if gap <= _MOST_GAP else 1)
            # A cell is one cell of one line.
            self._row.append(" ".join(value.split()))
            self._size += len(self._row[-1]) + 1
            if self._size > self._most:
                raise TooLargeError
        elif name == "row" and any(self._row):
            self.lines.append("\t".join(self._row))

    def text(self, value: str) -> None:
        if self._in_value:
            self._value.append(value)

    def _shown(self, value: str) -> str:
        if self._kind == "s":
            at = int(value) if value.isdecimal() and len(value) < 10 else -1
            return self._strings[at] if 0 <= at < len(self._strings) else ""
        if self._kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        if self._kind == "n" and self._style.isdecimal() and int(self._style[:6]) in self._dates:
            return _date(value, self._epoch)
        return value


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _date(value: str, epoch: datetime) -> str:
    try:
        serial = float(value)
    except ValueError:
        return value
    if not 0 <= serial < _LAST_SERIAL:
        return value
    at = epoch + timedelta(seconds=round(serial * 86_400))
    if serial < 1:
        return at.strftime("%H:%M:%S")
    return at.date().isoformat() if serial.is_integer() else at.isoformat()


def _ignore(_: str) -> None:
    pass
