"""Coverage: which of the sources of a run would yield a document of an address. Reads neither files nor the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from polyseme.tasks.reading.archives import archive_of
from polyseme.tasks.reading.source import Source


class Coverage:
    """Sources, files among them by address: a run may name thousands of files, and ask for every document."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._files: dict[str, tuple[int, ...]] = {}
        self._others: list[tuple[int, Source]] = []
        self._targets: dict[str, int] = {}
        for number, source in enumerate(sources):
            uri = source.single
            if uri is None:
                self._others.append((number, source))
                continue
            self._targets.setdefault(uri, number)
            if not source.is_left_out:
                self._files[uri] = (*self._files.get(uri, ()), number)

    def of(self, uri: str) -> tuple[int, ...]:
        """Return the numbers of the sources that cover `uri`, ascending."""
        files = self._files.get(archive_of(uri), ())
        others = [number for number, source in self._others if source.covers(uri)]
        return tuple(sorted([*files, *others])) if others else files

    def reading(self, uri: str) -> tuple[int, ...]:
        """Return the numbers of the sources that read `uri`, ascending; also one that is no document's address."""
        found = self.of(uri)
        return found or tuple(number for number, source in self._others if source.scans(uri))

    def skipping(self, uri: str) -> int:
        """Return the number of the first source whose scan comes to a skipped file or folder; 0 if none does."""
        number = self._targets.get(archive_of(uri))
        return number if number is not None else next((n for n, source in self._others if source.reaches(uri)), 0)

    def scans(self, uri: str) -> bool:
        """Return whether a scan of these sources replaces the rejects of `uri` by earlier ones."""
        return archive_of(uri) in self._files or any(source.scans(uri) for _, source in self._others)
