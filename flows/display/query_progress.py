"""The progress of a slow query: one line on a terminal's stderr, from its third second until its first rows are shown.

    with QueryProgress(queries) as progress:
        queries.run(sql, show, waiting=progress.tick)    # `show` calls `clear` before it writes and `go_on` after

Says nothing where stderr is no terminal. DuckDB counts the rows that a query has read, not the time of the model, so
tokens are shown beside them.
"""

from __future__ import annotations

import sys
import threading
import time

from polyseme.storage.wording import many
from polyseme.tasks.sql.execution import Queries

_AFTER_SECONDS = 2.0
_EVERY_SECONDS = 0.5
_ERASE = "\r\x1b[2K"


class QueryProgress:
    """The line of one run of statements. `tick` and `clear` may be called in different threads."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._lock = threading.Lock()
        self._began = self._drawn = time.monotonic()
        self._shown, self._paused = False, False
        self._on_terminal = sys.stderr.isatty()

    def __enter__(self) -> QueryProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def tick(self) -> None:
        """Draw the line, if it is time to."""
        now = time.monotonic()
        if not self._on_terminal or now - self._began < _AFTER_SECONDS or now - self._drawn < _EVERY_SECONDS:
            return
        with self._lock:
            if self._paused:
                return
            self._drawn, self._shown = now, True
            sys.stderr.write(f"{_ERASE}{progress_line(now - self._began, *self._queries.progress)}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line; on a terminal that shows rows too, until `go_on`."""
        with self._lock:
            self._paused = sys.stdout.isatty()
            if self._shown:
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
                self._shown = False

    def go_on(self) -> None:
        """Draw the line again, for the next statement, once its rows are shown."""
        with self._lock:
            self._began, self._paused = time.monotonic(), False


def progress_line(seconds: float, percent: float | None, tokens: int, doing: tuple[str, float] | None = None) -> str:
    """Return what is known of a query: `12 s, 43 % of its rows, 3,204 tokens encoded (Ctrl-C stops it)`."""
    rows = [] if percent is None else [f"{percent:.0f} % of its rows"]
    encoded = [f"{many(tokens, 'tokens')} encoded"] if tokens else []
    work = [f"{doing[0]}: {100 * doing[1]:.0f} %"] if doing else []
    return f"{', '.join([f'{seconds:.0f} s', *rows, *encoded, *work])} (Ctrl-C stops it)"
