"""Files: what a lake asks of the place it lies in, a folder of this machine or a prefix of an object store.

Paths are relative to the lake's root, with slashes. `local` and `objects` are the two kinds of place; nothing else in
the lake knows which it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb


@dataclass(frozen=True, slots=True)
class Url:
    """The address of something in an object store; joins with `/` and shows as `str`, as a Path does."""

    text: str

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        return self.text.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file, or a folder with all that is in it, and when it last changed."""

    path: str
    bytes: int
    modified: datetime


class Files(Protocol):
    """The files of one lake. Whatever keeps a place from being used is a LakeError or an OSError."""

    def prepare(self) -> None:
        """Make the place ready for a new lake."""

    def new(self, path: str, *, read_only: bool = False) -> AbstractContextManager[Path]:
        """Give a file of this machine to fill. When the block ends well `path` holds what it holds, whole and durable,
        instead of what it held before; otherwise nothing has changed and nothing is left behind."""

    def fetched(self, path: str) -> AbstractContextManager[Path]:
        """Give a file of this machine with the bytes of `path`. Raises FileNotFoundError."""

    def missing(self, paths: Sequence[str]) -> list[str]:
        """Return those of `paths` that are not there."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files; those that are gone already are no error."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it."""

    def listed(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files in a folder and below it, by path. Links are not followed and not shown."""

    def folders(self, folder: str) -> Iterator[FileInfo]:
        """Yield the folders in a folder, each with the bytes in it and its last change."""

    def unfinished(self) -> Iterator[FileInfo]:
        """Yield what `new` left here when its process was killed."""

    def attach(self, con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        """Let a DuckDB connection read these files."""
