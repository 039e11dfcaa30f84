"""Supervision of a query that runs in another thread: its time, its memory, Ctrl-C.

Signals do not reach Python while a library is busy in the main thread, so the query runs elsewhere and the main thread
waits. DuckDB checks for an interrupt between batches of rows, and counts only the memory of its own buffers: one call
such as `repeat('x', 4000000000)` can neither be interrupted nor bounded by it. What goes on in spite of an interrupt
ends with its process.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TypeVar

from polyseme.storage.errors import PolysemeError, UnstoppableError

T = TypeVar("T")

_LOOK_SECONDS = 0.05
"""How often memory is looked at: a query that fills it takes about 4 GB a second."""
_UNCOUNTED_SHARE, _UNCOUNTED_BYTES = 1 / 8, 64 << 20
"""Memory beside what DuckDB counts: 5 to 11 % in sorts that spill. Without it none of these came to its end."""
_GRACE_SECONDS = 5.0
"""How long a query may take to end after an interrupt: it may have gigabytes to give back."""
_GRACE_WITHOUT_MEMORY_SECONDS = 0.5
_STATM = Path("/proc/self/statm")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def supervise(
    query: Future[T],
    interrupt: Callable[[], None],
    *,
    timeout: float | None,
    memory: int | None,
    waiting: Callable[[], None] | None = None,
) -> T:
    """Return the query's result. `timeout` is in seconds, `memory` in bytes that DuckDB may use.

    The process may grow by slightly more. `waiting` is called at each look at the query. `interrupt` is called,
    repeatedly, if the query takes more than that or the user presses Ctrl-C. Raises PolysemeError for a query that took
    more, and UnstoppableError if it goes on all the same.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    most = None if memory is None else resident_bytes() + int((1 + _UNCOUNTED_SHARE) * memory) + _UNCOUNTED_BYTES
    try:
        while not query.done():
            left = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic()))
            wait([query], left)
            if query.done():
                break
            if waiting is not None:
                waiting()
            if deadline is not None and time.monotonic() >= deadline:
                late = PolysemeError(
                    f"No answer within {timeout:g} seconds, so the query was stopped. Narrow it (WHERE, LIMIT) or "
                    "raise --timeout SECONDS."
                )
                stop(query, interrupt, late, grace=_GRACE_SECONDS)
                raise late
            if most is not None and resident_bytes() > most:
                large = PolysemeError(
                    f"The query took more than {(memory or 0) / 1e9:.1f} GB of memory, so it was stopped. Narrow it "
                    "(WHERE, LIMIT, fewer columns), or allow it more (--memory 16GB)."
                )
                stop(query, interrupt, large, grace=_GRACE_WITHOUT_MEMORY_SECONDS)
                raise large
    except KeyboardInterrupt:
        stop(query, interrupt, PolysemeError("Interrupted."), grace=_GRACE_SECONDS, exit_code=130)
        raise
    return query.result()


def stop(
    query: Future[T], interrupt: Callable[[], None], reason: PolysemeError, *, grace: float, exit_code: int = 1
) -> None:
    """Interrupt a query until it ends. Raises UnstoppableError if it has not within `grace` seconds, or on Ctrl-C."""
    until = time.monotonic() + grace
    try:
        while not query.done() and time.monotonic() < until:
            # An interrupt between two statements is lost, so it is repeated.
            interrupt()
            wait([query], _LOOK_SECONDS)
    except KeyboardInterrupt:
        exit_code = 130
    if not query.done():
        raise UnstoppableError(f"{reason} One step of it could not be interrupted, so its process ends.", exit_code)


def resident_bytes() -> int:
    """Return the memory that this process has now; where the system tells only the most that it ever had, that."""
    if _STATM.exists():
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
