"""The files of a folder or a glob pattern, in a fixed order. Knows names and links, not contents.

Hidden names (a leading dot) are skipped unless the pattern has the dot. A link to a file is a file; a linked folder is
entered after the real ones, once, and never if it leads to a parent.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

MAGIC = re.compile(r"[*?\[]")
OnError = Callable[[Path, OSError], None]


@dataclass(slots=True)
class _Walk:
    """The state of one walk: its options, and the folders entered so far, by their real paths."""

    root: str
    on_error: OnError
    hidden: bool
    max_depth: int | None
    entered: set[str] = field(default_factory=set)
    linked: list[tuple[Path, int]] = field(default_factory=list)

    def enter(self, folder: Path, depth: int) -> Iterator[Path]:
        """Yield the files of a folder and of the real folders in it; queue the linked ones."""
        real = os.path.realpath(folder)
        if real in self.entered or (real != self.root and _is_within(self.root, real)):
            return
        self.entered.add(real)
        for name, kind in self._listed(folder):
            path = folder / name
            if kind == "dangling":
                self.on_error(path, FileNotFoundError(errno.ENOENT, "this link leads nowhere"))
            if kind in ("file", "dangling"):
                yield path
            elif self.max_depth is None or depth < self.max_depth:
                if kind == "link":
                    self.linked.append((path, depth + 1))
                else:
                    yield from self.enter(path, depth + 1)

    def _listed(self, folder: Path) -> list[tuple[str, str]]:
        try:
            with os.scandir(folder) as listing:
                # Names, not entries: for a folder of a million files that takes a third of the memory.
                return sorted((e.name, k) for e in listing if (self.hidden or e.name[0] != ".") and (k := _kind(e)))
        except OSError as error:
            self.on_error(folder, error)
            return []


def _kind(entry: os.DirEntry[str]) -> str:
    """Return `file`, `folder`, `link` (to a folder), or an empty string for a pipe or device, which would block.

    `dangling` is a link of which it cannot be seen where it leads: it may have led to a folder.
    """
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
        return "" if os.path.exists(entry.path) else "dangling"
    except OSError:  # a link to itself, or into a folder that cannot be entered
        return "dangling"


def walk(root: Path, *, on_error: OnError, hidden: bool = False, max_depth: int | None = None) -> Iterator[Path]:
    """Yield every file under `root`, sorted within each folder, depth first; a dangling link counts as a file.

    `max_depth` 1 is the folder itself. `on_error` is called for a folder that cannot be listed, which is then skipped,
    and for a dangling link.
    """
    walking = _Walk(os.path.realpath(root), on_error, hidden, max_depth)
    yield from walking.enter(root, 1)
    while walking.linked:
        linked, walking.linked = sorted(walking.linked), []
        for folder, depth in linked:
            yield from walking.enter(folder, depth)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def fixed_folder(pattern: str) -> str:
    """Return the folder above the first segment of an absolute pattern that has a wildcard."""
    segments = pattern.split("/")
    first = next(i for i, segment in enumerate(segments) if MAGIC.search(segment))
    return "/".join(segments[:first]) or "/"


def expand(pattern: str, *, on_error: OnError) -> Iterator[Path]:
    """Yield the files that match an absolute pattern: `*`, `?`, `[a-z]` within a name, `**` across folders."""
    base = Path(fixed_folder(pattern))
    rest = pattern[len(str(base).rstrip("/")) + 1 :].split("/")
    depth = None if "**" in rest else len(rest)
    hidden = any(segment.startswith(".") for segment in rest)
    yield from (p for p in walk(base, on_error=on_error, hidden=hidden, max_depth=depth) if matches(str(p), pattern))


def matches(path: str, pattern: str) -> bool:
    """Return whether `expand` would yield the absolute `path` for `pattern`."""
    return _match(path.strip("/").split("/"), pattern.strip("/").split("/"))


def _match(names: list[str], segments: list[str]) -> bool:
    if not names or not segments:
        return not names and not segments
    segment, rest = segments[0], segments[1:]
    if names[0].startswith(".") and not segment.startswith("."):
        return segment == "**" and bool(rest) and _match(names, rest)
    if segment == "**":
        return (_match(names, rest) if rest else len(names) == 1) or _match(names[1:], segments)
    return fnmatchcase(names[0], segment) and _match(names[1:], rest)
