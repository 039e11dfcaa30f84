"""What a page is: a name, which is its address and its template, and a function that asks the lake what it shows.

A page shows tables, and has each as JSON, CSV and Parquet too, under the same address with another ending. Knows
neither HTTP nor HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from polyseme.flows.explorer.point_maps import PointMap, Progress
from polyseme.flows.lake_facts import Facts
from polyseme.storage.errors import PolysemeError, UsageError


class Asked(Protocol):
    """A lake that answers SQL; `LiveLake` is one."""

    def ask(self, sql: str, *, where: str = "", **parameters: object) -> pa.Table:
        """Return the rows of a query of ours, with `$name` parameters; `where` chooses `chosen_documents`."""
        ...

    def rows(self, sql: str, *, where: str = "", **parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query of ours as records."""
        ...

    def facts(self) -> Facts:
        """Return what `polyseme status` says of the lake, as it was at most some seconds ago."""
        ...

    def sentence_map(self) -> PointMap | Progress:
        """Return the map of all sentences, or how far it is; the first who asks has it made."""
        ...

    def word_map(self, word: str, *, by_lemma: bool) -> PointMap | Progress:
        """Return the map of the occurrences of a word, or how far it is."""
        ...

    def why_absent(self, word: str, *, by_lemma: bool) -> str:
        """Return why a word or phrase has no occurrences, and what is spelled like it, as the commands say it."""
        ...

    def run(self, sql: str, *, most: int) -> pa.Table:
        """Return the first rows of SQL that somebody typed."""
        ...


MOST_DATA_ROWS = 100_000
"""Rows of a list, or of an answer to SQL, that a page has as data."""


class AbsentError(UsageError):
    """Something that the lake does not have."""


class BusyError(PolysemeError):
    """Too much is asked at once; the same may be asked again later."""


class Parameters:
    """What the address of a page says behind its question mark; what it leaves out, or empty, has a default.

    `whole` says that lists are not to be divided into pages, unless the address names one.
    """

    def __init__(self, given: Sequence[tuple[str, str]], *, whole: bool = False) -> None:
        self.given = [(name, value) for name, value in given if value]
        self._whole = whole

    def text(self, name: str, default: str = "") -> str:
        """Return a value as it is."""
        return next((value for key, value in self.given if key == name), default)

    def required(self, name: str, what: str) -> str:
        """Return a value that a page cannot do without. Raises UsageError."""
        if not (value := self.text(name)):
            raise UsageError(f"This address names no {what}: it needs ?{name}=…")
        return value

    def number(self, name: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
        """Return a whole number. Raises UsageError for what is none, or is out of bounds."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise UsageError(f"{name} has to be a whole number from {least:,} to {most:,}, and {value[:40]!r} is not.")
        return number

    def rows(self, a_page: int) -> dict[str, int]:
        """Return the `limit` and the `offset` of the rows of a list that has `a_page` of them on a page."""
        page = self.number("page", 1, least=1)
        if self._whole and not self.text("page"):
            return {"limit": MOST_DATA_ROWS, "offset": 0}
        return {"limit": a_page, "offset": a_page * (page - 1)}

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of some values, by default the first. Raises UsageError for another."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise UsageError(f"{name} has to be one of {', '.join(choices)}, and {value[:40]!r} is not.")
        return value

    def starting(self, prefix: str) -> dict[str, str]:
        """Return the values whose names begin with `prefix`, by the rest of the name."""
        return {name.removeprefix(prefix): value for name, value in self.given if name.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class Content:
    """What a page shows: tables, of which the first is the one that `.csv` and `.parquet` hold, and what its template
    needs besides."""

    title: str
    tables: Mapping[str, pa.Table]
    more: Mapping[str, object] = field(default_factory=dict)


Load: TypeAlias = Callable[[Asked, Parameters], Content]


@dataclass(frozen=True, slots=True)
class Raw:
    """What a page's script asks for that is no table: bytes of some media type."""

    body: bytes
    kind: str


Answer: TypeAlias = Callable[[Asked, Parameters], Raw]


@dataclass(frozen=True, slots=True)
class Page:
    """A kind of page. `heading` is its name in the menu, empty for pages that are reached from others.

    `answers` are for its script, under the page's address with their names as endings.
    """

    name: str
    load: Load
    heading: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
