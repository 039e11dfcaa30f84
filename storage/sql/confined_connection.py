"""A connection for SQL of people who are not trusted: opened and used in one confined thread."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import READ_ONLY, Access
from polyseme.storage.sql.confinement import ConfinedThread
from polyseme.storage.sql.connection import Functions, open_snapshot

T = TypeVar("T")


class ConfinedConnection:
    """One snapshot of a lake, open in a thread that can write no files but those that `access` allows.

    Whatever uses `connection` is passed to `submit` or `call`: DuckDB also works in the thread that calls it. Use it as
    a context manager.
    """

    def __init__(
        self, snapshot: Snapshot, lake: Lake, *, functions: Functions | None = None, access: Access = READ_ONLY
    ) -> None:
        access.check(lake)
        self._spill = Path(tempfile.mkdtemp(prefix="polyseme-"))
        writable = [self._spill] if access.folder is None else [self._spill, access.folder]
        self._thread = ConfinedThread(None if access.unsafe else writable)
        self._last: Future[Any] | None = None
        try:
            self.connection = self.call(
                open_snapshot, snapshot, lake, functions=functions, access=access, spill=self._spill, confined=True
            )
        except BaseException:
            self._end()
            raise

    def submit(self, function: Callable[..., T], *arguments: Any, **named: Any) -> Future[T]:
        """Have the thread call a function; return the future of its result."""
        self._last = future = self._thread.submit(function, *arguments, **named)
        return future

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return what the function returns or raises in the thread."""
        return self.submit(function, *arguments, **named).result()

    def close(self) -> None:
        """Close the connection, unless a call of it goes on, and remove what it spilled."""
        if self._last is None or self._last.done():
            self.connection.close()
        self._end()

    def __enter__(self) -> ConfinedConnection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _end(self) -> None:
        self._thread.close()
        shutil.rmtree(self._spill, ignore_errors=True)
