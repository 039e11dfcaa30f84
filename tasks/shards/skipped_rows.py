"""Which rows of skipped files a scan replaces and which it adds: a file is counted once, whatever the sources of runs.

A row counts the files of one kind in one folder or archive. A scan replaces the rows of the places that it came to:
those of any source if it came to all that is there, else those of the same source and those of one file. It adds none
for what a row that stays counts already, so that a pattern that has a part of a folder waits for a scan of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.tasks.reading.archives import WITHIN, archive_of
from polyseme.tasks.reading.folders import MAGIC
from polyseme.tasks.reading.local_source import uri_of
from polyseme.tasks.reading.object_store import store_of
from polyseme.tasks.reading.skipped import place_of
from polyseme.tasks.reading.source import Source


@dataclass(frozen=True, slots=True)
class SkippedRows:
    """The rows of a scan of `sources`. What is in a place that is `shielded` was not seen."""

    sources: Sequence[Source]
    shielded: Callable[[str], bool]

    def settle(
        self, found: Iterable[SkippedFiles], older: Mapping[int, SkippedFiles], later: Iterable[SkippedFiles]
    ) -> tuple[list[int], list[SkippedFiles]]:
        """Return which of the `older` rows go, by number, and which of those `found` are to be recorded.

        What a run that began `later` has counted stays.
        """
        others = [source for source in self.sources if source.single is None]
        files = {source.single: source for source in self.sources if source.single is not None}
        retired = []
        for number, row in older.items():
            one = files.get(archive_of(row.example))
            if self._replaces(row, others if one is None else [one, *others]):
                retired.append(number)
        gone, later = set(retired), list(later)
        kept = [row for number, row in older.items() if number not in gone]
        stay = _Counted([*kept, *later], lambda row: any(source.reaches(row.example) for source in self.sources))
        stay.add_placed(older[number] for number in retired)
        by_later = {row.source for row in later}
        return retired, [row for row in found if not (stay.has(row) or _is_of(row, by_later))]

    def _replaces(self, row: SkippedFiles, sources: Sequence[Source]) -> bool:
        if not row.example:
            return any(row.source == s.name or s.contains(row.source) for s in self.sources)
        came = any(_comes_to(row, source) for source in sources)
        return came and not self.shielded(place_of(row.example))


def _comes_to(row: SkippedFiles, source: Source) -> bool:
    """Return whether a scan of a source counts all that a row does, if it is still there."""
    if not source.reaches(row.example):
        return False
    if WITHIN in row.example:
        return source.covers(row.example)
    if row.source == source.name:
        return True
    if source.kind == "folder" and row.example.rstrip("/") == source.prefix:
        return False  # that another source does not enter it stays so
    return row.files == 1 or source.takes_whole(place_of(row.example), deep=False)


def _is_of(row: SkippedFiles, sources: Iterable[str]) -> bool:
    """Return whether a row is of one of `sources`, by name, or in one that is a folder or an archive."""
    place = archive_of(place_of(row.example)) if row.example else ""
    return any(row.source == name or place.startswith(_whole(name)) for name in sources)


class _Counted:
    """Rows, to be found by what they count."""

    def __init__(self, rows: Iterable[SkippedFiles], reached: Callable[[SkippedFiles], bool]) -> None:
        self._reached = reached
        self._by_place: dict[tuple[str, str, bool, bool], list[SkippedFiles]] = {}
        self._everywhere: dict[tuple[str, bool, bool], list[SkippedFiles]] = {}
        self._had_place: set[tuple[str, str, str, str]] = set()
        for row in rows:
            if row.example:
                self._by_place.setdefault((place_of(row.example), *_kind(row)), []).append(row)
            else:
                self._everywhere.setdefault(_kind(row), []).append(row)

    def add_placed(self, rows: Iterable[SkippedFiles]) -> None:
        """Note rows that had a place: what their source skipped there for their reason is in no row without one."""
        self._had_place |= {_in(place_of(row.example), row) for row in rows if row.example}

    def has(self, row: SkippedFiles) -> bool:
        """Return whether files of a row may be among those of another row of these."""
        if not row.example:
            return self._may_share(row)
        place = place_of(row.example)
        same = self._by_place.get((place, *_kind(row)), ())
        if any(one.example == row.example or not one.files == row.files == 1 for one in same):
            return True
        within = archive_of(place).rstrip("/") + "/"
        return any(
            within.startswith(_fixed(one.source)) and _in(place, one) not in self._had_place
            for one in self._everywhere.get(_kind(row), ())
        )

    def _may_share(self, row: SkippedFiles) -> bool:
        """Return whether a row without a place may count files of another row, with a place or not."""
        if any(_overlap(row.source, one.source) for one in self._everywhere.get(_kind(row), ())):
            return True
        placed = (one for (_, *kind), found in self._by_place.items() if tuple(kind) == _kind(row) for one in found)
        return any(self._reached(one) for one in placed)


def _overlap(one: str, other: str) -> bool:
    """Return whether two sources, by their names, may have the same files."""
    a, b = _fixed(one), _fixed(other)
    return a.startswith(b) or b.startswith(a)


def _whole(name: str) -> str:
    """Return the address of the source of this name, with a slash at its end."""
    if (found := store_of(name)) is not None:
        store, key = found
        return store.uri(key).rstrip("/") + "/"
    return (name if "://" in name else uri_of(name)).rstrip("/") + "/"


def _fixed(name: str) -> str:
    """Return the address of the folder above the first wildcard of a name, if it has one, with a slash at its end."""
    if not MAGIC.search(name) or ("://" in name and store_of(name) is None):
        return _whole(name)
    return _whole(name[: MAGIC.split(name, maxsplit=1)[0].rfind("/") + 1])


def _kind(row: SkippedFiles) -> tuple[str, bool, bool]:
    # A file that one run excludes may be what another does not read; neither is a hidden one, or a folder.
    return row.extension, row.reason.startswith("hidden"), row.reason.endswith("folder")


def _in(place: str, row: SkippedFiles) -> tuple[str, str, str, str]:
    return place, row.source, row.extension, row.reason
