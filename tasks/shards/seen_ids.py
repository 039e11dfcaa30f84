"""The document ids that a scan has seen, to find duplicates and documents that are gone from their source.

A temporary SQLite file, so that memory is constant for millions of documents. Knows ids only.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType

_PAGE = 500
"""Ids that are looked up at once. SQLite before 3.32 takes 999 variables."""
_FIND = f"SELECT doc_id, is_new FROM seen WHERE doc_id IN ({','.join('?' * _PAGE)})"


class SeenIds:
    """The set of document ids of one scan, on disk, and what the scan found gone."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="polyseme-scan-")
        # One thread at a time: the scan adds ids, then the run looks them up.
        path = Path(self._folder.name) / "seen.sqlite"
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE seen (doc_id TEXT PRIMARY KEY, is_new INTEGER, refused INTEGER) WITHOUT ROWID")
        self._db.execute("CREATE TABLE again (doc_id TEXT, uri TEXT)")
        self._db.execute("CREATE TABLE gone (doc_id TEXT, uri TEXT, sources TEXT)")
        self._db.execute("BEGIN")

    def add(self, doc_id: str) -> bool:
        """Add the id of a document; return False if it was added before, other than as that of a refused record."""
        added = "INSERT INTO seen VALUES (?, 0, 0) ON CONFLICT DO UPDATE SET refused = 0 WHERE refused"
        return self._db.execute(added, (doc_id,)).rowcount == 1

    def add_all(self, doc_ids: Callable[[], Iterable[str]]) -> bool:
        """Add distinct ids; return False, and add none, if one of them was added before, also as refused.

        `doc_ids` returns them, each time the same.
        """
        if any(self._found(page) for page in _pages(doc_ids())):
            return False
        self._db.executemany("INSERT INTO seen VALUES (?, 0, 0)", ((doc_id,) for doc_id in doc_ids()))
        return True

    def add_refused(self, doc_id: str) -> None:
        """Add the id of a record that was refused: its document is not gone, and a good record may still have it."""
        self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, 0, 1)", (doc_id,))

    def mark_new(self, doc_ids: Iterable[str]) -> None:
        """Mark ids that were added as new: before the scan the lake did not have them, or of another source."""
        self._db.executemany("UPDATE seen SET is_new = 1 WHERE doc_id = ?", ((doc_id,) for doc_id in doc_ids))

    def is_new(self, doc_id: str) -> bool | None:
        """Return whether an id is that of a new document; None if it was never added."""
        row = self._db.execute("SELECT is_new FROM seen WHERE doc_id = ?", (doc_id,)).fetchone()
        return None if row is None else bool(row[0])

    def found(self, doc_ids: Iterable[str]) -> dict[str, bool]:
        """Return those of some ids that were added, each with whether it is that of a new document."""
        return {doc_id: bool(is_new) for page in _pages(doc_ids) for doc_id, is_new in self._found(page)}

    def _found(self, page: Sequence[str]) -> list[tuple[str, int]]:
        return self._db.execute(_FIND, (*page, *[None] * (_PAGE - len(page)))).fetchall()

    def add_again(self, doc_id: str, uri: str) -> None:
        """Add another address at which the id of a document was read again."""
        self._db.execute("INSERT INTO again VALUES (?, ?)", (doc_id, uri))

    def read_again(self) -> Iterator[list[tuple[str, str]]]:
        """Yield `(doc_id, uri)` of what was read again, in pages."""
        rows = self._db.execute("SELECT doc_id, uri FROM again ORDER BY rowid")
        while page := rows.fetchmany(_PAGE):
            yield page

    def add_gone(self, doc_id: str, uri: str, sources: Sequence[int]) -> None:
        """Add a document that the `sources`, by number, should have yielded and did not."""
        key = f",{','.join(map(str, sources))},"
        self._db.execute("INSERT INTO gone VALUES (?, ?, ?)", (doc_id, uri, key))

    def take_gone(self, *, but_of: Iterable[int]) -> Iterator[list[tuple[str, str]]]:
        """Yield `(doc_id, uri)` of what is gone and of none of some sources, in pages; then forget all of it."""
        for source in but_of:
            self._db.execute("DELETE FROM gone WHERE sources LIKE ?", (f"%,{source},%",))
        rows = self._db.execute("SELECT doc_id, uri FROM gone ORDER BY rowid")
        while page := rows.fetchmany(_PAGE):
            yield page
        self._db.execute("DELETE FROM gone")

    def close(self) -> None:
        """Remove the temporary file."""
        self._db.close()
        self._folder.cleanup()

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _pages(doc_ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(doc_ids)
    while page := list(islice(left, _PAGE)):
        yield page
