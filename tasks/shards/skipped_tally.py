"""The tally of skipped files: by source, extension, reason and folder, with an example of each, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.tasks.reading.skipped import AT_FAULT, Skipped, extension_of, place_of

MOST_KINDS = 5000
"""Of extension, reason and source together. What is beyond them is counted under `OTHERS`."""
MOST_ROWS = 10_000
"""Of a kind and a folder together, about 3 MB of catalog. What is beyond them is counted without a folder."""
OTHERS = "(others)"
_Kind = tuple[int, str, str]


@dataclass(slots=True)
class SkippedTally:
    """How many files were skipped, of sources by number."""

    _rows: dict[tuple[_Kind, str], tuple[int, str]] = field(default_factory=dict)
    """Their number and an example, by kind and place; by kind alone for what is beyond the limit."""
    _kinds: set[_Kind] = field(default_factory=set)

    def add(self, skipped: Skipped, source: int, *, files: int = 1) -> None:
        """Count a file, or a folder that was not entered; several `files` of one kind and place by an example."""
        kind, place = (source, extension_of(skipped.uri), skipped.reason), place_of(skipped.uri)
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = (source, OTHERS, skipped.reason)
        example = skipped.uri
        # The first of each kind has its folder, so that there is an example of each.
        if kind in self._kinds and len(self._rows) >= MOST_ROWS and (kind, place) not in self._rows:
            place = example = ""
        self._kinds.add(kind)
        before, example = self._rows.get((kind, place), (0, example))
        self._rows[kind, place] = (before + files, example)

    def rows(self, sources: Sequence[str]) -> list[SkippedFiles]:
        """Return what was counted by folder or archive; `sources` are the names of sources by number."""
        return [
            SkippedFiles(source=sources[number], extension=extension, reason=reason, files=files, example=example)
            for ((number, extension, reason), _), (files, example) in self._rows.items()
        ]

    def totals(self, sources: Sequence[str]) -> list[SkippedFiles]:
        """Return what was counted in all places, the most first."""
        kinds: dict[tuple[str, str, str], SkippedFiles] = {}
        for row in self.rows(sources):
            kind = (row.source, row.extension, row.reason)
            first = kinds.get(kind)
            kinds[kind] = row if first is None else replace(first, files=first.files + row.files)
        return sorted(kinds.values(), key=lambda one: (-one.files, one.source, one.extension, one.reason))


def at_fault(found: Sequence[SkippedFiles]) -> int:
    """Return how many files were skipped that nobody hid or excluded and that are not empty."""
    return sum(one.files for one in found if one.reason in AT_FAULT)
