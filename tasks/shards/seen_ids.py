"""The ledger of a scan: which document ids it has seen.

A temporary SQLite file, so that memory stays flat on millions of documents. It finds duplicate ids and, at the
end, the documents that disappeared from their source.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType


class SeenIds:
    """The set of document ids of one scan, on disk."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="polyseme-scan-")
        # One thread at a time: the scan fills it, then the run asks it.
        path = Path(self._folder.name) / "seen.sqlite"
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE seen (doc_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, doc_id: str) -> bool:
        """Remember an id; False where it was there already."""
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (doc_id,)).rowcount == 1

    def missing(self, doc_ids: Iterable[str]) -> list[str]:
        """Return those of `doc_ids` that were never added, in order."""
        find = "SELECT 1 FROM seen WHERE doc_id = ?"
        return [doc_id for doc_id in doc_ids if self._db.execute(find, (doc_id,)).fetchone() is None]

    def close(self) -> None:
        self._db.close()
        self._folder.cleanup()

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
