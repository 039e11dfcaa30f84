"""The lock of a scan: on a machine one run at a time scans a corpus, one waits, and the waiting one covers any others.

So a thousand events are at most two scans, and the last event is always before the last scan. The kernel keeps the
locks: a killed process frees them at once. Runs on other machines do not see them and need not: the catalog decides
which of two versions of a document stays.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def scan_lock(name: str, *, place: Path | None = None) -> Iterator[bool]:
    """Wait for the lock, yield True and hold it. Yield False, without waiting, if another process waits already.

    The scan of that one begins later than now, so it will see everything that this one would have seen.
    """
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    stem = (place or Path(tempfile.gettempdir())) / f"polyseme-{os.getuid()}-{key}"
    waiting, running = FileLock(f"{stem}.next"), FileLock(f"{stem}.now")
    try:
        waiting.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        running.acquire()
    finally:
        waiting.release()
    try:
        yield True
    finally:
        running.release()
