"""The rows of `rejects` that a scan makes: of each file the first rejects, then one that counts the rest by code.

Knows nothing of deletions: the scan keeps the documents of every reject, whether it has a row or not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from polyseme.storage.catalog import Catalog
from polyseme.storage.records import Reject
from polyseme.storage.wording import many

ROWS_OF_A_FILE = 10_000
"""About 3 MB of catalog. A million took 290 MB, and as much memory in every query that reads them."""
_BATCH = 500
_OPEN_FILES = 1024
"""Files come one after another, but what is found when documents are compared comes up to a batch of 1,000 later."""


@dataclass(slots=True)
class _File:
    """What was refused of one file: the number of its rows, and the rest."""

    uri: str
    rows: int = 0
    rest: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""

    def takes_row(self, reject: Reject) -> bool:
        """Count a reject. Return whether it gets a row of its own, as those of a whole file always do."""
        if self.rows < ROWS_OF_A_FILE or not reject.locator:
            self.rows += 1
            return True
        self.rest[reject.code] += 1
        self.first = self.first or reject.locator
        self.last = reject.locator
        return False

    def rest_row(self) -> Reject:
        codes = ", ".join(f"{code} {number:,}" for code, number in self.rest.most_common())
        message = (
            f"{many(self.rest.total(), 'more records')} refused ({codes}), from {self.first} to {self.last}; of one "
            f"file {self.rows:,} are listed. Mend what these have in common, then run again"
        )
        return Reject(self.uri, f"{self.first} to {self.last}", "scan", "more-rejects", message, "")


@dataclass(slots=True)
class RejectRows:
    """Records the rejects of one run in the catalog, in batches."""

    catalog: Catalog
    run_id: str
    _files: dict[str, _File] = field(default_factory=dict)
    _waiting: list[Reject] = field(default_factory=list)

    def add(self, reject: Reject) -> None:
        """Record a reject or count it."""
        file = self._files.pop(reject.uri, None) or _File(reject.uri)
        self._files[reject.uri] = file  # the last one again
        if file.takes_row(reject):
            self._record(reject)
        if len(self._files) > _OPEN_FILES:
            self._close(next(iter(self._files)))

    def finish(self) -> None:
        """Record what is waiting, and the rest of each file."""
        for uri in list(self._files):
            self._close(uri)
        self._flush()

    def _close(self, uri: str) -> None:
        file = self._files.pop(uri)
        if file.rest:
            self._record(file.rest_row())

    def _record(self, reject: Reject) -> None:
        self._waiting.append(reject)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self.catalog.record_rejects(self.run_id, self._waiting)
            self._waiting = []
