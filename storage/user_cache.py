"""The user's cache folder: what can be computed again, in files that only this user can read.

A file is whole or not there at all; one that is absent, broken or cannot be written is no error to anybody.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NEW = ".new"
_GIVEN_UP_SECONDS = 24 * 3600
_NAME = re.compile(r"[A-Za-z0-9-]{1,200}")


def cache_folder() -> Path | None:
    """Return the folder for what can be computed again; None if this user has none."""
    # As it is if there is no home directory, which a container's user may not have: Path.home() raises.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return cache / "polyseme" if cache.is_absolute() else None


def cached_file(kind: str, name: str, ending: str) -> Path | None:
    """Return the place of a file of some kind; None without a folder, or for a name that could lead out of it.

    Names are made of ids of catalogs, which are anybody's.
    """
    folder = cache_folder()
    return folder / kind / f"{name}.{ending}" if folder is not None and _NAME.fullmatch(name) else None


@contextmanager
def writing(file: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write, which takes the place of `file` when the block ends without an error. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Readable by this user alone, as the lake may be.
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=_NEW, delete=False) as written:
        try:
            yield written
            written.close()
            os.replace(written.name, file)
        except BaseException:
            os.unlink(written.name)
            raise


def remove_given_up(folder: Path) -> None:
    """Remove what processes that were killed have left of the files that they wrote."""
    for found in folder.glob(f"*{_NEW}"):
        with suppress(OSError):
            if found.stat().st_mtime < time.time() - _GIVEN_UP_SECONDS:
                found.unlink()
