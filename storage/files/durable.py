"""Files and folders of this machine that are whole under their name or not there at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from polyseme.storage.errors import PolysemeError


def write_whole(path: Path, text: str) -> None:
    """Write a small file that is never seen half. Raises PolysemeError where it cannot be written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError as error:
        raise PolysemeError(f"Cannot write {path}: {error}. Make room, then run the same command again.") from error


def settle(temporary: Path, folder: Path) -> None:
    """Move a folder that is written to its final name, so that a crash leaves the old one, the new one, or none."""
    for path in [*temporary.iterdir(), temporary]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
