"""The lock of a scan: on a machine one run at a time scans a corpus, one waits, and the waiting one covers any others.

So a thousand events are at most two scans, and the last event is always before the last scan. The kernel keeps the
locks: a killed process frees them at once. Runs on other machines do not see them and need not: the catalog decides
which of two versions of a document stays.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from polyseme.storage.errors import PolysemeError


@contextmanager
def scan_lock(name: str, *, place: Path | None = None) -> Iterator[bool]:
    """Wait for the lock, yield True and hold it. Yield False, without waiting, if another process waits already.

    The scan of that one begins later than now, so it will see everything that this one would have seen.
    """
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    stem = (place or _own_folder()) / key
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


def _own_folder() -> Path:
    """Return the folder of this user's locks. Raises PolysemeError if others could hold or replace them."""
    folder = Path(tempfile.gettempdir()) / f"polyseme-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    stats = folder.lstat()
    if not stat.S_ISDIR(stats.st_mode) or stats.st_uid != os.getuid() or stats.st_mode & 0o022:
        raise PolysemeError(
            f"{folder} has the locks of scans, and it is a link, belongs to another user or may be written by others, "
            "who could stop every scan. Remove it, or set TMPDIR to a folder of your own."
        )
    return folder
