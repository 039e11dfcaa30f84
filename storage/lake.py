"""Lake: the place that holds the parts, and the address of everything in it.

Knows neither what the files contain nor how they are written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.storage.catalog_url import without_password
from polyseme.storage.errors import LakeError
from polyseme.storage.files.local import LocalFiles
from polyseme.storage.files.objects import ObjectFiles
from polyseme.storage.files.protocol import Files, Url

PUBLISHED = "catalog.duckdb"


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake's root, a folder or a URL such as `s3://bucket/lake`, and the URL of its catalog if one is given.

    A folder is resolved once, so that a later change of the working directory or of a link changes nothing. `catalog`
    is a SQLAlchemy URL; None means the one that `lake.json` names, or `catalog.sqlite` in the lake's folder.
    """

    root: Path | Url
    catalog: str | None = field(default=None, repr=False)

    def __init__(self, root: Path | Url | str, catalog: str | None = None) -> None:
        object.__setattr__(self, "root", _root(root))
        object.__setattr__(self, "catalog", catalog)

    def __repr__(self) -> str:
        catalog = "" if self.catalog is None else f", catalog={without_password(self.catalog)!r}"
        return f"Lake({str(self.root)!r}{catalog})"

    @property
    def files(self) -> Files:
        """The files below the root."""
        return LocalFiles(self.root) if isinstance(self.root, Path) else ObjectFiles(self.root)

    @property
    def catalog_path(self) -> Path | Url:
        """The catalog's file, if the catalog is not an external one."""
        return self.root / "catalog.sqlite"

    @property
    def published_path(self) -> Path | Url:
        """The published DuckDB file."""
        return self.root / PUBLISHED

    @property
    def data(self) -> Path | Url:
        """The folder of the parts."""
        return self.root / "data"

    @property
    def staging(self) -> Path | Url:
        """The folder of the documents that wait to be encoded."""
        return self.root / "staging"

    def create(self) -> None:
        """Make the folders that a new lake needs. Raises LakeError if that is not possible."""
        self.files.prepare()

    def part_path(self, path: str) -> Path | Url:
        """Return the full address of a part. Raises LakeError for a path outside the lake's data."""
        relative = PurePosixPath(path)
        if relative.parts[:1] != ("data",) or ".." in relative.parts or "\0" in path:
            raise LakeError(f"The catalog of {self.root} names a part outside its data: {path!r}. Restore the catalog.")
        return self.root / str(relative)


def _root(root: Path | Url | str) -> Path | Url:
    text = str(root)
    if isinstance(root, Url) or (isinstance(root, str) and "://" in text and not text.startswith("file://")):
        return Url(text.rstrip("/"))
    if text.startswith("file://"):
        text = os.fsdecode(unquote_to_bytes(urlsplit(text).path))
    return Path(text).expanduser().resolve()
