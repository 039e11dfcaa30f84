"""Tallies: what a scan found, of all its sources and of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

What = Literal["documents", "new", "changed", "redescribed", "unchanged", "moved", "rejected", "skipped_files"]


@dataclass(slots=True)
class Tally:
    """Counts of a scan so far. `redescribed` documents have another title or metadata, and the text they had.

    Of the unchanged documents, `unopened` are of files that were not opened.
    `skipped_files` are those that no reader reads; a folder that is not entered counts as one.
    """

    documents: int = 0
    new: int = 0
    changed: int = 0
    redescribed: int = 0
    unchanged: int = 0
    unopened: int = 0
    moved: int = 0
    rejected: int = 0
    skipped_files: int = 0
    deleted: int = 0
    chars_to_encode: int = 0

    def add(self, what: What, *, chars: int = 0) -> None:
        """Count a document, of which so many characters are to be encoded, a refused record, or a skipped file."""
        setattr(self, what, getattr(self, what) + 1)
        self.chars_to_encode += chars


@dataclass(slots=True)
class Reading:
    """Where a scan is: at which of its `files`, those that it need not open among them, and the address of that one.

    The address is empty between two files, and for documents that come one by one.
    """

    files: int = 0
    uri: str = ""


@dataclass(slots=True)
class SourceTallies:
    """A tally of each source. What several sources cover is counted for the first of them, which is read first.

    `covering` returns the sources that read a uri, by number, ascending.
    """

    covering: Callable[[str], tuple[int, ...]]
    tallies: Sequence[Tally]
    refused: Sequence[Counter[str]]
    """The refused records of each source, by code."""
    _deleted: dict[str, Counter[int]] = field(default_factory=dict)

    @staticmethod
    def of(sources: int, covering: Callable[[str], tuple[int, ...]]) -> SourceTallies:
        """Return empty tallies of so many sources."""
        return SourceTallies(
            lru_cache(maxsize=1024)(covering), [Tally() for _ in range(sources)], [Counter() for _ in range(sources)]
        )

    def add(self, what: What, uri: str, *, chars: int = 0) -> None:
        """Count a document."""
        for tally in self.of_first(uri):
            tally.add(what, chars=chars)

    def refuse(self, uri: str, code: str) -> None:
        """Count a record that was refused."""
        for number in self.covering(uri)[:1]:
            self.tallies[number].add("rejected")
            self.refused[number][code] += 1

    def of_first(self, uri: str) -> Sequence[Tally]:
        """Return the tally of the source that reads a uri, in a list; an empty one if there is none."""
        return [self.tallies[number] for number in self.covering(uri)[:1]]

    def add_deleted(self, uri: str, encoding_id: str) -> None:
        """Count a document that one encoding loses: once, in however many encodings it is."""
        counted = self._deleted.setdefault(encoding_id, Counter())
        for number in self.covering(uri)[:1]:
            counted[number] += 1
            self.tallies[number].deleted = max(self.tallies[number].deleted, counted[number])
