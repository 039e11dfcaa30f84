"""Lake: the folder that holds the parts and the catalog, and where everything in it lies.

Knows paths and how to make them durable, nothing of what the files contain.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from storage.errors import LakeError


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake's root. It is resolved once, so that a later change of folder or of a link moves nothing."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser().resolve())

    @property
    def catalog_path(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def published_path(self) -> Path:
        return self.root / "catalog.duckdb"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    def create(self) -> None:
        """Make the folders that are missing. Raises LakeError where that is not possible."""
        try:
            for folder in (self.data, self.staging):
                make_folder(folder)
        except OSError as e:
            raise LakeError(
                f"Cannot make a lake at {self.root}: {e}. Choose a folder you may write to with --lake."
            ) from e

    def check(self) -> None:
        """Raise LakeError unless there is a lake here."""
        if not self.catalog_path.is_file():
            raise LakeError(
                f"There is no lake at {self.root} (no {self.catalog_path.name} in it). "
                "Run `polyseme embed SOURCE` to make one, or name another with --lake."
            )

    def part_path(self, path: str) -> Path:
        """Return the absolute path of a part. Raises LakeError for a path that leads out of the lake's data."""
        relative = PurePosixPath(path)
        if relative.parts[:1] != ("data",) or ".." in relative.parts or "\0" in path:
            raise LakeError(f"The catalog of {self.root} names a part outside its data: {path!r}. Restore the catalog.")
        return self.root / relative


def make_folder(path: Path) -> None:
    """Make a folder and its parents, and make their names durable."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        fsync_folder(folder.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: on POSIX a rename is safe only once its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
