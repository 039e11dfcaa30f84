"""The dialect of a table in text: its delimiter, quotes and escapes, as told or as its beginning shows them.

The header decides first: the delimiter under which a column has the name of the text field is right. Then the rows do:
the dialect under which most have as many cells as the header. A column of text that holds all the other delimiters
misleads neither.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product

from polyseme.tasks.reading.normalization import normalise

_DELIMITERS = ",;\t|"
_FEW_ROWS, _ENOUGH_ROWS = 3, 200
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart. `quote` empty: quotes are text. `escape` empty: a quote in a quoted cell is doubled."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return the rows of lines with their ends. Raises csv.Error for a row that is none in this dialect."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape or None,
            doublequote=not self.escape,
            strict=True,
        )


def dialect_of(
    sample: str, *, text_field: str, tabs: bool, delimiter: str | None, quote: str | None, header: bool
) -> Dialect:
    """Return the dialect of a table from its first lines, of which the last may be the beginning of a row.

    `delimiter` and `quote` are what the user said, None for nothing. `tabs` is for a file that is named .tsv.
    """
    lines = _LINE.findall(sample)
    first = "\t" if tabs else ","
    delimiters = [delimiter] if delimiter else [first, *_DELIMITERS.replace(first, "")]
    scores = dict[Dialect, tuple[bool, float]]()
    for character, escape in product(delimiters, ("", "\\")):
        found = Dialect(character, _quote_beside(character, lines) if quote is None else quote, escape)
        scores[found] = _score(found, lines, text_field if header else None)
        if scores[found] == (True, 1):
            break
    return max(scores, key=lambda one: scores[one])


def _score(dialect: Dialect, lines: list[str], text_field: str | None) -> tuple[bool, float]:
    """Return whether the header names the text field, and the share of rows that have as many cells as the first.

    Without a name to look for, a dialect that finds no second column has no share: it explains any line.
    """
    left = iter(lines)
    right = seen = width = 0
    named = False
    try:
        for cells in islice(filter(None, dialect.reader(left)), _ENOUGH_ROWS):
            if not seen:
                width, named = len(cells), text_field in [normalise(cell) for cell in cells]
            seen += 1
            right += len(cells) == width
    except csv.Error:
        # At the end of the sample it may be cut there; a quote that swallowed all rows is none.
        seen += next(left, None) is not None or seen < _FEW_ROWS
    return named, right / max(seen, 1) if named or width > 1 else 0


def _quote_beside(delimiter: str, lines: list[str]) -> str:
    """Return the quote of a table. With tabs it is text, as its standard says, unless the table shows otherwise.

    Programs that write CSV with tabs quote cells that hold a tab, a line break or a quote, which they double.
    """
    if delimiter != "\t":
        return '"'
    rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip("\r\n")]
    if any(len(cells) != len(rows[0]) for cells in rows):
        quoted = Dialect("\t", '"')
        return '"' if _score(quoted, lines, None)[1] == 1 else ""
    opened = [cell for cells in rows for cell in cells if cell.startswith('"')]
    if not opened or not all(map(_QUOTED.fullmatch, opened)):
        return ""
    return '"' if any('"' in cell[1:-1] for cell in opened) or all(map(_QUOTED.fullmatch, rows[0])) else ""
