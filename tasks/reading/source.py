"""One source: which files it has, and which addresses a scan of it covers. Reads no file.

Files, folders, glob patterns and standard input.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.tasks.reading.archives import WITHIN, archive_of
from polyseme.tasks.reading.folders import (
    TO_READ,
    OnError,
    dangling,
    entries,
    expand,
    fixed_folder,
    leads_to,
    matches,
    takes_whole,
)
from polyseme.tasks.reading.formats import may_be_read
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.readers import STDIN_URI
from polyseme.tasks.reading.skipped import EXCLUDED, NOT_TEXT, Skipped
from polyseme.tasks.reading.standard_input import UNNAMED_STDIN

logger = logging.getLogger(__name__)

_PLAIN = re.compile(r"file:///[A-Za-z0-9/._-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """One argument of the user, resolved. `target` is its identity: the path or pattern with links resolved.

    That of standard input is the name it was given, empty if none was. An `absent` source is not there now, but
    documents that were read from it are known. What `patterns` leave out is not covered by a scan of this source; they
    are no part of its identity.
    """

    spec: str
    kind: Literal["file", "folder", "glob", "stdin"]
    target: str = ""
    absent: bool = False
    patterns: Patterns = field(default=ALL, compare=False)

    @property
    def name(self) -> str:
        """The target as text that can be stored, shown and given as a source: if not in UTF-8, its file:// address."""
        return self.target if is_utf8(self.target) else uri_of(self.target)

    @property
    def folder(self) -> str:
        """The folder that patterns are relative to."""
        if self.kind == "folder":
            return self.target
        return fixed_folder(self.target) if self.kind == "glob" else os.path.dirname(self.target)

    def files(self, *, on_error: OnError | None = None) -> Iterator[Path | Skipped]:
        """Yield the files to read and what is skipped, in a fixed order.

        `on_error` is called for a folder that cannot be listed. What a glob pattern does not match is not part of it.
        """
        on_error = on_error or _warn
        if self.absent or self.kind == "stdin":
            return
        if self.kind == "file":
            yield Skipped(uri_of(self.target), EXCLUDED) if self.leaves_out(self.target) else Path(self.target)
            return
        found = (
            entries(Path(self.target), on_error=on_error, patterns=self.patterns)
            if self.kind == "folder"
            else expand(self.target, on_error=on_error, patterns=self.patterns)
        )
        for path, kind in found:
            if kind not in TO_READ:
                yield Skipped(path.as_uri() + ("/" if kind.endswith("folder") else ""), kind)
            elif may_be_read(path.name):
                yield path
            elif kind == "file":
                yield Skipped(path.as_uri(), NOT_TEXT)
            else:
                on_error(path, dangling())

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this source if its file existed.

        Also for a name without a suffix, of which only the content can tell. A member of an archive is, as the
        archive is.
        """
        if self.kind == "stdin" or not uri.startswith("file:///"):
            return False
        uri = archive_of(uri)
        if self.kind == "file":
            return uri == uri_of(self.target) and not self.leaves_out(self.target)
        path = path_of_uri(uri)
        if not may_be_read(path.rpartition("/")[2]):
            return False
        if self.kind == "glob":
            return matches(path, self.target) and not self.leaves_out(path)
        return self._shows(path) and not self.leaves_out(path)

    def leaves_out(self, path: str, *, folder: bool = False) -> bool:
        """Return whether the patterns leave out an absolute path in the source's folder: a file, or a `folder`."""
        root = self.folder.rstrip("/") + "/"
        if not self.patterns or not path.startswith(root):
            return False
        inside = path[len(root) :]
        return self.patterns.leave_out_within(inside) if folder else self.patterns.leave_out(inside)

    def reaches(self, uri: str) -> bool:
        """Return whether a scan of this source comes to a file of any name, or to a folder if `uri` ends in a slash.

        What is in an archive is where the archive is. So too if the patterns leave out the file itself.
        """
        if self.kind == "stdin" or not uri.startswith("file:///"):
            return False
        path = path_of_uri(archive_of(uri)).rstrip("/") or "/"
        if self.kind == "file" or path == self.target:
            return path == self.target
        folder = os.path.dirname(path)
        if self.kind == "glob":
            is_inside = leads_to(path, self.target) if uri.endswith("/") else matches(path, self.target)
        else:
            is_inside = folder == self.target or self._shows(folder)
        return is_inside and not self.leaves_out(folder, folder=True)

    def takes_whole(self, folder: str, *, deep: bool) -> bool:
        """Return whether a scan comes to every file shown in an absolute folder; if `deep`, also in those within."""
        if self.kind not in ("folder", "glob") or self.leaves_out(folder, folder=True):
            return False
        if self.kind == "folder":
            return folder == self.target or self._shows(folder)
        return takes_whole(folder, self.target) and (not deep or self.target.endswith("**"))

    def _shows(self, path: str) -> bool:
        """Return whether an absolute path is in this folder, and neither it nor a folder on the way is hidden."""
        root = self.target.rstrip("/") + "/"
        return path.startswith(root) and not any(name.startswith(".") for name in path[len(root) :].split("/"))

    def holds(self, lake: Lake) -> bool:
        """Return whether this source would read the parts of `lake` as documents."""
        if not isinstance(lake.data, Path):
            return False
        # A lake's folder is resolved, and so is a folder when it is walked: the source may name it by a link.
        real = replace(self, target=os.path.realpath(self.target)) if self.kind == "folder" else self
        return real.covers((lake.data / "documents" / "part.parquet").as_uri())

    def scans(self, uri: str) -> bool:
        """Return whether rejects of `uri`, a file or folder, by earlier scans are replaced by a scan of this source."""
        if self.kind == "stdin":
            return uri == STDIN_URI + self.target if self.target else bool(UNNAMED_STDIN.fullmatch(uri))
        if self.kind == "file" or not uri.startswith("file:///"):
            return self.covers(uri)
        path = path_of_uri(archive_of(uri))
        kinds = (False,) if WITHIN in uri else _kinds_at(path)
        if self.kind == "folder":
            is_inside = path == self.target or self._shows(path)
        else:
            is_inside = matches(path, self.target) or (True in kinds and leads_to(path, self.target))
        return is_inside and not any(self.leaves_out(path, folder=folder) for folder in kinds)

    def contains(self, path: str) -> bool:
        """Return whether an absolute path, or a pattern, is this folder or lies in it."""
        return self.kind == "folder" and (path + "/").startswith(self.target.rstrip("/") + "/")


def path_of_uri(uri: str) -> str:
    """Return the path of a `file://` address. Raises UsageError for one on another machine."""
    if _PLAIN.fullmatch(uri):  # as most are: a tenth of the time
        return uri[len("file://") :]
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise UsageError(f"source {uri!r} is not on this machine; mount or download it, or pipe it into -")
    return os.fsdecode(unquote_to_bytes(parts.path))


def path_of(name: str) -> str:
    """Return the path or pattern of a source with this name."""
    return path_of_uri(name) if name.startswith("file:///") else name


@lru_cache(maxsize=256)
def uri_of(path: str) -> str:
    """Return the address of an absolute path, as documents have it."""
    return Path(path).as_uri()


def _kinds_at(path: str) -> tuple[bool, ...]:
    """Return whether a folder is at a path, to which patterns of files do not apply; both for a path that is gone.

    A link that leads nowhere may have led to a folder.
    """
    if os.path.isfile(path):
        return (False,)
    return (True,) if os.path.lexists(path) else (False, True)


def _warn(folder: Path, error: OSError) -> None:
    logger.warning("%s cannot be listed: %s", folder, error.strerror)
