"""Confinement: a thread in which the operating system itself refuses to write files, except in given folders.

DuckDB can be told which files SQL may use, not that it may only read them. The kernel can: Linux's Landlock refuses any
user, root included. A kernel without it can take from root the capability to override permissions, so that the mode of
a part, read-only, holds for root too. Both hold for one thread and those that it starts, DuckDB's own among them, and
never for the rest of the process. On other systems nothing happens here: the mode of a part holds for all but root.

Sources: landlock(7), capabilities(7).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls of Landlock, the same on every architecture."""
_VERSION_FLAG, _PATH_BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_WRITES_BY_VERSION = {1: 0b1_1111_1111_0010, 2: 1 << 13, 3: 1 << 14}
"""Access rights that change files, by the version that has them first: write, remove and make; move; truncate."""
_OF_FILES = 1 << 1 | 1 << 14
"""Those of them that a rule about a file, not a folder, may have."""
_CAPABILITY_VERSION, _DAC_OVERRIDE = 0x20080522, 1


class ConfinedThread:
    """A thread that runs calls one after another, and can write files only in the folders `writable`.

    None for `writable` is a thread like any other.
    """

    def __init__(self, writable: Sequence[Path] | None = ()) -> None:
        initializer = None if writable is None else partial(confine, writable)
        self._thread = ThreadPoolExecutor(1, "polyseme-query", initializer=initializer)

    def submit(self, function: Callable[..., T], *arguments: Any, **named: Any) -> Future[T]:
        """Have the thread call a function; return the future of its result."""
        return self._thread.submit(function, *arguments, **named)

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return what the function returns or raises in the thread."""
        return self.submit(function, *arguments, **named).result()

    def close(self) -> None:
        """Let the thread end once it is idle, without waiting for that."""
        self._thread.shutdown(wait=False)

    def __enter__(self) -> ConfinedThread:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def confine(writable: Sequence[Path] = ()) -> None:
    """Refuse the calling thread, and those it starts from now on, to write files outside `writable`, for good."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version = _landlock_version(libc)
    if version:
        _restrict(libc, version, [*writable, Path(os.devnull)])
        return
    with suppress(OSError, AttributeError):  # a C library without these functions
        _drop_override(libc)


def _landlock_version(libc: ctypes.CDLL) -> int:
    """Return the version of Landlock; 0 for a kernel without it."""
    try:
        return _system_call(libc, _CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    except OSError:
        return 0


def _restrict(libc: ctypes.CDLL, version: int, writable: Sequence[Path]) -> None:
    """Apply a Landlock ruleset. Raises OSError if one of the paths does not exist."""
    rights = sum(bits for since, bits in _WRITES_BY_VERSION.items() if since <= version)
    handled = ctypes.c_uint64(rights)
    with _descriptor(_system_call(libc, _CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)) as ruleset:
        for path in writable:
            with _descriptor(os.open(path, os.O_PATH | os.O_CLOEXEC)) as opened:
                allowed = rights if path.is_dir() else rights & _OF_FILES
                rule = _Rule(allowed, opened)
                _system_call(libc, _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        _system_call(libc, _RESTRICT_SELF, ruleset, 0)


def _drop_override(libc: ctypes.CDLL) -> None:
    """Give up the capability to write files against their permissions, which only root has. Reading stays."""
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_CapabilitySet * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for name in ("effective", "permitted", "inheritable"):
        setattr(sets[0], name, getattr(sets[0], name) & ~(1 << _DAC_OVERRIDE))
    if libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _system_call(libc: ctypes.CDLL, number: int, *arguments: Any) -> int:
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


@contextmanager
def _descriptor(opened: int) -> Iterator[int]:
    try:
        yield opened
    finally:
        os.close(opened)


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("opened", ctypes.c_int32))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("thread", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))
