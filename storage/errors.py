"""The errors Polyseme raises on purpose, each with the exit code the command line gives it.

    PolysemeError            1  something failed; the message says what, where and what to do
    ├── UsageError           2  the request itself is wrong
    ├── LakeError            4  the lake is missing, locked or incompatible
    │   └── MissingLakeError    there is no lake yet
    ├── ModelError           5  the model or the device is not available
    └── UnstoppableError        a thread goes on after the error, so that its process must end

Bad *input* is not an error here: a refused record is a `Reject`, which is data.
"""

from __future__ import annotations

import errno


class PolysemeError(Exception):
    """A failure that a user can act on. The message is one paragraph: what happened, where, what to do."""

    exit_code = 1


class UsageError(PolysemeError):
    """An argument or a setting that is not valid."""

    exit_code = 2


class LakeError(PolysemeError):
    """A lake that is missing, locked, damaged, or written by a newer Polyseme."""

    exit_code = 4


class MissingLakeError(LakeError):
    """A place without a lake, or a database without a catalog."""


class ModelError(PolysemeError):
    """A checkpoint, head or device that cannot be used."""

    exit_code = 5


class UnstoppableError(PolysemeError):
    """A failure after which a thread of this process goes on and cannot be stopped: the process has to end."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


CANNOT_WRITE = (
    "It cannot be written here: its file system is mounted read-only, or its permissions do not let you. "
    "Reading works. To write, run where it may be written, or copy the lake."
)
MAKE_ROOM = "Make room on its disk, check that you may write there, and run the same command again."
NOT_ALLOWED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def mend_of(error: OSError) -> str:
    """Return what to do about a file that could not be written."""
    if error.errno in NOT_ALLOWED:
        return CANNOT_WRITE
    return MAKE_ROOM


def in_words(error: BaseException) -> str:
    """Return the message of an error, after its class name unless it is a PolysemeError."""
    return str(error) if isinstance(error, PolysemeError) else f"{type(error).__name__}: {error}"
