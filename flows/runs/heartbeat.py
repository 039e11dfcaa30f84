"""Heartbeat: the signs of life that a run gives while nothing of it is committed.

A thread with a timer, which ends with the run. It never fails or delays the run: a catalog that is locked or not
reachable gets the next one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import runs

EVERY_SECONDS = 60.0
"""Several times within the lease of `dead_runs`, so that some may fail."""
_LAST_SECONDS = 10.0
"""How long the end of a run waits for a sign that is being given: more than SQLite waits for a lock."""

log = logging.getLogger(__name__)


@contextmanager
def heartbeat(catalog: Catalog, run_id: str, *, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Record now and then that a run is alive, while the body runs."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(catalog, run_id, every_seconds, ended), name="polyseme-heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_SECONDS)


def _beat(catalog: Catalog, run_id: str, every_seconds: float, ended: threading.Event) -> None:
    while not ended.wait(every_seconds):
        try:
            with catalog.writing(patience=0.0) as connection:
                runs.renew(connection, run_id)
        except Exception as error:  # whatever it is, the next commit of the run meets it and reports it
            log.debug("run %s: no sign of life was recorded (%s)", run_id, error)
