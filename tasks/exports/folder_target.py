"""Folder targets: what the formats that are a folder have in common. A format says how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from polyseme.tasks.exports.folders import ExportFolder, local_path
from polyseme.tasks.exports.marks import Mark
from polyseme.tasks.exports.source import States

T = TypeVar("T", bound="FolderTarget")


class FolderTarget:
    """A target that is a folder of this machine; written as a whole unless a format says otherwise.

    `files` are names that it has in any case: without one of them it is not complete.
    """

    incremental = False
    files: tuple[str, ...] = ()

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def mark(self) -> Mark | None:
        mark = self._folder.mark()
        if mark is None or all((self._folder.path / name).exists() for name in self.files):
            return mark
        return replace(mark, complete=False)

    def states(self) -> States:
        return {}

    def remember(self, mark: Mark) -> None:
        self._folder.remember(mark)

    def size(self) -> int:
        return self._folder.size()


@contextmanager
def opened_folder(out: str, make: Callable[[ExportFolder], T]) -> Iterator[T]:
    """Open the folder `out` as a target that no other process writes meanwhile."""
    folder = ExportFolder(local_path(out))
    with folder.locked():
        yield make(folder)
