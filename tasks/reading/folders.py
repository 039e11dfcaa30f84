"""The files of a folder or a glob pattern, in a fixed order. Knows names and links, not contents.

Hidden names (a leading dot) are skipped unless the pattern has the dot. A link to a file is a file; a linked folder is
entered after the real ones, once, and never if it leads to a parent. The folder of a table is not entered. What is not
a file to read has another kind.
"""

from __future__ import annotations

import errno
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.skipped import EXCLUDED, EXCLUDED_FOLDER, HIDDEN, HIDDEN_FOLDER, LINKED_FOLDER, SPECIAL
from polyseme.tasks.reading.tables.layout import DELTA_LOG, METADATA, TABLES, table_in

MAGIC = re.compile(r"[*?\[]")
OnError = Callable[[str, OSError], None]
Wanted = Callable[[str], bool]
Entry = tuple[str, str]
"""A path and its kind: `file` and `dangling`, a link that leads nowhere, are to be read; the others are reasons why a
file is not read or a folder not entered, or the kind of a table."""
TO_READ = ("file", "dangling")


@dataclass(slots=True)
class _Walk:
    """The state of one walk: its options, and the folders entered so far, by their real paths."""

    root: str
    on_error: OnError
    hidden: bool
    max_depth: int | None
    patterns: Patterns
    wanted: Wanted | None
    """Whether a file of a table would be read; None to enter tables as other folders."""
    entered: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    """The real paths of tables, in which no link is followed either."""
    linked: list[tuple[str, int, str]] = field(default_factory=list)

    def enter(self, folder: str, depth: int, inside: str = "") -> Iterator[Entry]:
        """Yield what is in a folder and in the real folders in it; queue the linked ones.

        `inside` is the path of the folder within the root, with a slash at its end.
        """
        # A stack of its own, and real paths put together: a tree may be deeper than Python's stack, and resolving each
        # folder takes time cubic in its depth (7 s for 1,000).
        open_: list[_Folder] = []
        yield from self._open(open_, folder, os.path.realpath(folder), inside, depth)
        while open_:
            folder, real, inside, listed = open_[-1]
            name, kind = next(listed, ("", ""))
            path = f"{folder}/{name}" if folder != "/" else f"/{name}"
            if not name:
                open_.pop()
            elif kind == "dangling":
                if self.patterns.leave_out_folder(inside + name):
                    yield path, EXCLUDED
                    continue
                yield path, kind
            elif kind not in ("folder", "link"):
                yield path, EXCLUDED if kind == "file" and self.patterns.leave_out_file(inside + name) else kind
            elif self.max_depth is not None and depth + len(open_) > self.max_depth:
                continue
            elif self.patterns.leave_out_folder(inside + name):
                yield path, EXCLUDED_FOLDER
            elif kind == "link":
                self.linked.append((path, depth + len(open_), f"{inside}{name}/"))
            else:
                yield from self._open(open_, path, f"{real.rstrip('/')}/{name}", f"{inside}{name}/", depth + len(open_))

    def _open(self, open_: list[_Folder], folder: str, real: str, inside: str, depth: int) -> Iterator[Entry]:
        """Add a folder to those that are open, or yield why it is not entered."""
        is_above = real != self.root and _is_within(self.root, real)
        if real in self.entered or is_above or self._is_of_table(real, linked=not open_):
            yield folder, LINKED_FOLDER
            return
        self.entered.add(real)
        listed = self._listed(folder)
        if (table := self._table(folder, listed)) and self._reads_in(folder, inside, depth):
            self.tables.add(real)
            yield folder, table
        else:
            open_.append((folder, real, inside, iter(listed)))

    def _is_of_table(self, real: str, *, linked: bool) -> bool:
        """Return whether a folder is that of a table which was met; a linked one may also lie in it."""
        folder = real if self.tables else ""
        while folder and folder not in self.tables:
            folder = folder.rpartition("/")[0] if linked else ""
        return bool(folder)

    def _table(self, folder: str, listed: Sequence[tuple[str, str]]) -> str | None:
        """Return the kind of the table whose folder this is."""
        if self.wanted is None:
            return None
        folders = [name for name in (DELTA_LOG, METADATA) if _has_folder(listed, name)]
        return table_in(folder, folders=folders) if folders else None

    def _reads_in(self, folder: str, inside: str, depth: int) -> bool:
        """Return whether any file in a folder is wanted, which is mostly the first."""
        wanted = self.wanted
        look = replace(self, on_error=lambda folder, error: None, wanted=None, entered=set(), tables=set(), linked=[])
        return wanted is not None and any(
            kind == "file" and wanted(path) for path, kind in look.enter(folder, depth, inside)
        )

    def _listed(self, folder: str) -> list[tuple[str, str]]:
        try:
            with os.scandir(folder) as listing:
                # Names, not entries: for a folder of a million files that takes a third of the memory.
                return sorted((e.name, _kind(e) if self.hidden or e.name[0] != "." else _hidden(e)) for e in listing)
        except OSError as error:
            self.on_error(folder, error)
            return []


_Folder = tuple[str, str, str, Iterator[tuple[str, str]]]
"""A folder that is entered: its path, its real path, its path within the root, and what is still to come in it."""


def _has_folder(listed: Sequence[tuple[str, str]], name: str) -> bool:
    at = bisect_left(listed, (name,))
    return at < len(listed) and listed[at][0] == name and listed[at][1] in ("folder", "link")


def _kind(entry: os.DirEntry[str]) -> str:
    """Return `file`, `folder`, `link` (to a folder), or `special-file` for a pipe or device, which would block.

    `dangling` is a link of which it cannot be seen where it leads: it may have led to a folder.
    """
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        if entry.is_file():
            return "file"
        return SPECIAL if os.path.exists(entry.path) else "dangling"
    except OSError:  # a link to itself, or into a folder that cannot be entered
        return "dangling"


def _hidden(entry: os.DirEntry[str]) -> str:
    try:
        return HIDDEN_FOLDER if entry.is_dir() else HIDDEN
    except OSError:
        return HIDDEN


def entries(
    root: str,
    *,
    on_error: OnError,
    hidden: bool = False,
    max_depth: int | None = None,
    patterns: Patterns = ALL,
    wanted: Wanted | None = None,
) -> Iterator[Entry]:
    """Yield everything under `root` but folders that are entered, sorted within each folder, depth first.

    `root` is an absolute path. `max_depth` 1 is the folder itself; what is deeper is left out. `on_error` is called for
    a folder that cannot be listed, which is then skipped. A table's folder is one entry if a file in it is `wanted`;
    without `wanted` tables are not told apart.
    """
    walking = _Walk(os.path.realpath(root), on_error, hidden, max_depth, patterns, wanted)
    yield from walking.enter(root, 1)
    while walking.linked:
        linked, walking.linked = sorted(walking.linked, key=lambda found: found[0].split("/")), []
        for folder, depth, inside in linked:
            yield from walking.enter(folder, depth, inside)


def walk(root: str, *, on_error: OnError) -> Iterator[str]:
    """Yield every file under `root` in the order of `entries`; a dangling link counts as a file."""
    return (path for path, kind in entries(root, on_error=on_error) if kind in TO_READ)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def fixed_folder(pattern: str) -> str:
    """Return the folder above the first segment of an absolute pattern that has a wildcard."""
    segments = pattern.split("/")
    first = next(i for i, segment in enumerate(segments) if MAGIC.search(segment))
    return "/".join(segments[:first]) or "/"


def expand(
    pattern: str, *, on_error: OnError, patterns: Patterns = ALL, wanted: Wanted | None = None
) -> Iterator[Entry]:
    """Yield what matches an absolute pattern: `*`, `?`, `[a-z]` within a name, `**` across folders.

    Besides files and special files that is each excluded folder that may have some, and the folder of each table with
    a file that matches and is `wanted`. `patterns` are relative to the folder above the first wildcard. `on_error` is
    also called for a dangling link that may have led to such a folder.
    """
    base = fixed_folder(pattern)
    rest = pattern[len(base.rstrip("/")) + 1 :].split("/")
    depth = None if "**" in rest else len(rest)
    hidden = any(segment.startswith(".") for segment in rest)

    def unlisted(folder: str, error: OSError) -> None:
        if leads_to(folder, pattern):
            on_error(folder, error)

    def matched(path: str) -> bool:
        return wanted is not None and wanted(path) and matches(path, pattern)

    found = entries(
        base, on_error=unlisted, hidden=hidden, max_depth=depth, patterns=patterns, wanted=wanted and matched
    )
    for path, kind in found:
        if kind in (*TO_READ, SPECIAL, EXCLUDED):
            if matches(path, pattern):
                yield path, kind
            elif kind == "dangling":
                unlisted(path, dangling())
        elif kind in TABLES or (kind == EXCLUDED_FOLDER and leads_to(path, pattern)):
            yield path, kind


def dangling() -> OSError:
    """Return the error of a link that leads nowhere."""
    return FileNotFoundError(errno.ENOENT, "this link leads nowhere")


def matches(path: str, pattern: str) -> bool:
    """Return whether `expand` would yield the absolute `path` for `pattern`."""
    return len(segments := _segments(pattern)) in _reached(path, segments)


def leads_to(folder: str, pattern: str) -> bool:
    """Return whether `expand` may yield something for `pattern` that is in an absolute `folder`."""
    return min(_reached(folder, segments := _segments(pattern)), default=len(segments)) < len(segments)


def takes_whole(folder: str, pattern: str) -> bool:
    """Return whether `expand` yields everything for `pattern` that is shown in an absolute `folder`, but no folders."""
    return pattern.endswith(("/*", "/**")) and leads_to(folder, pattern) and matches(f"{folder.rstrip('/')}/x", pattern)


def _segments(pattern: str) -> list[str]:
    return pattern.strip("/").split("/")


def _reached(path: str, segments: list[str]) -> set[int]:
    """Return how many segments of a pattern the names of a path can use up."""
    # The positions in the pattern that the names so far can lead to: without recursion, since a path may be deeper
    # than Python's stack, and without trying every way to divide a path among several `**`.
    reached = {0}
    for name in filter(None, path.split("/")):
        reached = {after for at in _with_empty(reached, segments) for after in _after(at, name, segments)}
    return reached


def _with_empty(reached: set[int], segments: list[str]) -> set[int]:
    """Add the positions behind each `**` that matches no folder; the last one matches at least the file."""
    found = set(reached)
    for at in range(len(segments) - 1):
        if at in found and segments[at] == "**":
            found.add(at + 1)
    return found


def _after(at: int, name: str, segments: list[str]) -> tuple[int, ...]:
    if at == len(segments) or (name.startswith(".") and not segments[at].startswith(".")):
        return ()
    if segments[at] == "**":
        return (at, at + 1) if at == len(segments) - 1 else (at,)
    return (at + 1,) if fnmatchcase(name, segments[at]) else ()
