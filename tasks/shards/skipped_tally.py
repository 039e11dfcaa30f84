"""The tally of skipped files: by source, extension and reason, with an example of each, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.tasks.reading.skipped import AT_FAULT, Skipped, extension_of

MOST_KINDS = 5000
"""Of extension, reason and source together. What is beyond them is counted under `OTHERS`."""
OTHERS = "(others)"


@dataclass(slots=True)
class SkippedTally:
    """How many files were skipped, of sources by number."""

    _counts: dict[tuple[int, str, str], tuple[int, str]] = field(default_factory=dict)

    def add(self, skipped: Skipped, source: int, *, files: int = 1) -> None:
        """Count a file, or a folder that was not entered; several `files` of one kind by an example."""
        kind = (source, extension_of(skipped.uri), skipped.reason)
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            kind = (source, OTHERS, skipped.reason)
        before, example = self._counts.get(kind, (0, skipped.uri))
        self._counts[kind] = (before + files, example)

    def rows(self, sources: Sequence[str]) -> list[SkippedFiles]:
        """Return what was counted, the most first; `sources` are the names of sources by number."""
        found = [
            SkippedFiles(source=sources[number], extension=extension, reason=reason, files=files, example=example)
            for (number, extension, reason), (files, example) in self._counts.items()
        ]
        return sorted(found, key=lambda one: (-one.files, one.source, one.extension, one.reason))


def at_fault(found: Sequence[SkippedFiles]) -> int:
    """Return how many files were skipped that nobody hid or excluded and that are not empty."""
    return sum(one.files for one in found if one.reason in AT_FAULT)
