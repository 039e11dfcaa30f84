"""Files: what a lake needs of its place, be it a folder of this machine or a prefix of an object store.

Paths are relative to the lake's root, with slashes. `local` and `objects` implement the protocol; nothing else in the
lake knows which of the two it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Url:
    """The address of an object or a prefix; joins with `/` and converts with `str`, as a Path does."""

    text: str

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        """The last step of the address."""
        return self.text.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file, or a folder with all that is in it: its path, its size, and when it last changed, in UTC."""

    path: str
    bytes: int
    modified: datetime


class Files(Protocol):
    """The files of one lake. Every method raises LakeError or OSError if the place cannot be used."""

    def prepare(self) -> None:
        """Make the place ready for a new lake."""

    def new(self, path: str, *, read_only: bool = False) -> AbstractContextManager[Path]:
        """Yield the path of a file of this machine to write. When the block ends without an error, `path` has its
        contents, whole and durable, in place of what it had; otherwise nothing has changed and nothing is left."""

    def fetched(self, path: str) -> AbstractContextManager[Path]:
        """Yield a file of this machine with the bytes of `path`. Raises FileNotFoundError."""

    def missing(self, paths: Sequence[str]) -> list[str]:
        """Return those of `paths` that do not exist."""

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files; those that are gone already are not an error."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it."""

    def listed(self, folder: str) -> Iterator[FileInfo]:
        """Yield the files in a folder and below it, by path. Links are not followed and not shown."""

    def folders(self, folder: str) -> Iterator[FileInfo]:
        """Yield the folders in a folder, each with the bytes in it and its last change."""

    def unfinished(self) -> Iterator[FileInfo]:
        """Yield the temporary files that `new` left when its process was killed."""

    def attach(self, con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        """Let a DuckDB connection read these files."""
