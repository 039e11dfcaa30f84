"""Durable files: files and folders of this machine that are whole under their name or not there at all.

A new file is written under a temporary name beside its own, synced, renamed, and its folder synced: bytes are safe
after fsync of their file, names after fsync of their folder, and POSIX promises nothing else. Knows nothing of object
stores, which put whole objects, nor of SQLite and DuckDB, which sync their own files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from polyseme.storage.errors import PolysemeError, mend_of


def write_atomically(path: Path, text: str) -> None:
    """Write a small UTF-8 file in place of what `path` holds. Raises PolysemeError if it cannot be written.

    Two processes must not write the same path at once: they would share the temporary name.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        replace_file(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PolysemeError(f"Cannot write {path}: {error}. {mend_of(error)}") from error


def replace_file(temporary: Path, final: Path) -> None:
    """Move a written file to its final name in the same folder, in place of what has that name. Raises OSError."""
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)


def replace_folder(temporary: Path, final: Path) -> None:
    """Move a folder of files to its final name, so that a crash leaves the old one, the new one, or none.

    Both names are in the same folder; of subfolders the names are synced, not the files in them. Raises OSError.
    """
    for path in [*temporary.iterdir(), temporary]:
        sync(path)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    sync(final.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, and sync their names. Raises OSError."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
