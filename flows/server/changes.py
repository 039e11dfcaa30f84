"""Changes under folders: as the system reports them, or by comparing what is there. Knows neither corpora nor events.

The system's reports stop at a name that is not UTF-8, at a limit on watches and at a folder that vanishes; comparing
takes any name. So whatever ends the reports for some folders, they are compared from then on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from watchfiles import Change, watch

from polyseme.tasks.reading.folders import walk

TICK_SECONDS = 0.25
_LEAST_PAUSE = 1.0
_MOST_SHARE = 0.1
"""The most of the time that comparing may take: a folder of a million files is compared every minute, not all the
time."""

Stamp = tuple[int, int] | None
"""Size of a file and time of its last change in nanoseconds; None if it is gone."""


def changes(
    roots: Sequence[Path],
    covers: Callable[[Path], bool],
    *,
    stop: threading.Event,
    poll: bool,
    on_fallback: Callable[[Exception], None],
) -> Iterator[set[Path]]:
    """Yield the files under `roots` that came, changed or went, and the folders that went; an empty set once it began.

    `covers` chooses files and folders. If the system cannot report changes, or no longer, `on_fallback` is called and
    the folders are compared from then on; a root is yielded then, since anything in it may have changed meanwhile.
    """
    began = False
    if not poll:
        try:
            for found in _reported(roots, covers, stop):
                began = True
                yield found
        except Exception as error:
            # Of several kinds: of the library for a name that it cannot decode, of the system for a limit.
            on_fallback(error)
        if stop.is_set():
            return
    compared = _compared(roots, covers, stop)
    yield next(compared, set())
    if began:
        yield set(roots)
    yield from compared


def stamp_of(path: Path | str) -> Stamp:
    """Return the size of a file and the time of its last change; None if there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _reported(roots: Sequence[Path], covers: Callable[[Path], bool], stop: threading.Event) -> Iterator[set[Path]]:
    """Yield what the system reports. Raises an error for a root that is gone or was replaced."""
    identities = [_identity(root) for root in roots]
    folders = {str(folder) for root in roots for folder in _folders(root) if covers(folder)}
    milliseconds = round(1000 * TICK_SECONDS)
    batches = watch(
        *roots, watch_filter=None, debounce=milliseconds, step=50, rust_timeout=milliseconds, yield_on_timeout=True,
        force_polling=None, stop_event=stop, ignore_permission_denied=True,
    )  # fmt: skip
    for batch in batches:
        found = set[Path]()
        for change, name in batch:
            found |= _changed(change, Path(name), folders, covers)
        yield found
        if [_identity(root) for root in roots] != identities:
            raise FileNotFoundError("a watched folder was moved, removed or replaced")


def _changed(change: Change, path: Path, folders: set[str], covers: Callable[[Path], bool]) -> set[Path]:
    """Return the files that one report is about. Keeps the names of folders in `folders`.

    Of a folder that is moved in or out the system reports the folder alone, and of a name that is gone not whether it
    was a folder: `2026.11` or a temporary file.
    """
    if os.path.isdir(path):
        if change == Change.added:
            folders.update(str(folder) for folder in (path, *_folders(path)) if covers(folder))
        return {file for file in _files(path) if covers(file)}
    if str(path) in folders:
        folders.discard(str(path))
        return {path}
    return {path} if covers(path) else set()


def _compared(roots: Sequence[Path], covers: Callable[[Path], bool], stop: threading.Event) -> Iterator[set[Path]]:
    """Yield an empty set first, then what differs between two looks."""
    before: dict[str, Stamp] | None = None
    while not stop.is_set():
        began = time.monotonic()
        now: dict[str, Stamp] = {str(f): stamp_of(f) for root in roots for f in _files(root) if covers(f)}
        changed = [name for name, stamp in now.items() if before is not None and before.get(name, ()) != stamp]
        gone = [name for name in before or () if name not in now]
        if before is None or changed or gone:
            yield {Path(name) for name in (*changed, *gone)}
        before = now
        stop.wait(max(_LEAST_PAUSE, (time.monotonic() - began) / _MOST_SHARE))


def _files(folder: Path) -> Iterator[Path]:
    return map(Path, walk(str(folder), on_error=lambda folder, error: None))


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders under `root` that are not hidden; links are not followed."""
    waiting = [root]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                found = [Path(e.path) for e in listing if e.name[0] != "." and e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        yield from found
        waiting += found


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
