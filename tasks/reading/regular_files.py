"""Opening a file that cannot make its reader wait. Knows kinds of files, not what is in them.

A named pipe blocks whoever opens it until somebody writes, a socket cannot be read, and a device may never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotAFileError(OSError):
    """A name that leads to a pipe, a socket or a device."""


def special_kind(path: str | Path) -> str | None:
    """Return `a pipe`, `a socket` or `a device`; None for a file, a folder, and a name that leads nowhere."""
    try:
        return _special(os.stat(path).st_mode)
    except OSError:
        return None


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises NotAFileError for a pipe, a socket or a device, else OSError as `open`."""
    # Checked before, since opening a device can do something, and after, since another file may have the name by then.
    # With O_NONBLOCK a pipe opens at once. A file is read as ever; only if another process has a lease on it, as Samba
    # does, opening fails where it waited: a reject, until a run that finds it free.
    _refuse_special(os.stat(path).st_mode)
    return open(path, "rb", opener=lambda name, flags: _opened(name, flags | os.O_NONBLOCK))


def _opened(name: str, flags: int) -> int:
    descriptor = os.open(name, flags)
    try:
        _refuse_special(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_special(mode: int) -> None:
    if kind := _special(mode):
        raise NotAFileError(f"{kind}, not a file")


def _special(mode: int) -> str | None:
    return next((kind for is_one, kind in _KINDS if is_one(mode)), None)
