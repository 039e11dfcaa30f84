"""The document ids that a scan has seen, to find duplicates and documents that are gone from their source.

A temporary SQLite file, so that memory is constant for millions of documents. Knows ids only.
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
        # One thread at a time: the scan adds ids, then the run looks them up.
        path = Path(self._folder.name) / "seen.sqlite"
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE seen (doc_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, doc_id: str) -> bool:
        """Add an id; return False if it was added before."""
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (doc_id,)).rowcount == 1

    def missing(self, doc_ids: Iterable[str]) -> list[str]:
        """Return those of `doc_ids` that were never added, in order."""
        find = "SELECT 1 FROM seen WHERE doc_id = ?"
        return [doc_id for doc_id in doc_ids if self._db.execute(find, (doc_id,)).fetchone() is None]

    def close(self) -> None:
        """Remove the temporary file."""
        self._db.close()
        self._folder.cleanup()

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
