"""The data of a probe as JSON lines, checked where they enter. Does not know what a record means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from polyseme.storage.errors import UsageError

T = TypeVar("T")


def read_records(path: Path, make: Callable[[dict[str, Any]], T], *, what: str, expected: str) -> list[T]:
    """Return `make` of every line that is not blank. `what` the file is and the `expected` record are for messages.

    Raises UsageError, naming the line, if a line is not JSON or `make` raises ValueError, KeyError or TypeError.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"Cannot read the {what} {path}: {reason}.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(make(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"Expected {expected} on line {number} of {path}, got something else ({type(error).__name__}). "
                "Correct or remove that line."
            ) from error
    return found
