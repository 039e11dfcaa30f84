"""Tables in the user's cache folder, each in a file with what it is the state of.

A file is read whole or not at all: one that is absent, damaged or of another kind is as good as none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from polyseme.storage.user_cache import remove_given_up, writing

T = TypeVar("T")
_STATE = b"polyseme"
_log = logging.getLogger(__name__)


def load_table(file: Path, read: Callable[[pa.Table, Any], T]) -> T | None:
    """Return what `read` makes of the table and its state; None if there is none, or not what `read` takes."""
    try:
        # Not mapped, and checked as a whole: of a damaged file Arrow would read what is behind the end of its buffers.
        with pa.OSFile(str(file)) as kept, pa.ipc.open_file(kept) as opened:
            table = opened.read_all()
        table.validate(full=True)
        return read(table, json.loads(table.schema.metadata[_STATE]))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def save_table(file: Path, table: pa.Table, state: dict[str, Any], what: str) -> None:
    """Keep a table with its state, in place of that before. `what` names it where it cannot be kept."""
    table = table.replace_schema_metadata({_STATE: json.dumps(state).encode()})
    try:
        with writing(file) as written, pa.ipc.new_file(written, table.schema) as out:
            out.write_table(table)
        remove_given_up(file.parent)
    except OSError as error:
        _log.info("%s could not be kept for the next time: %s", what, error.strerror)
