"""Sources of this machine: files, folders, glob patterns and standard input. Opens no file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Reject
from polyseme.tasks.reading.archives import WITHIN, archive_of
from polyseme.tasks.reading.documents import Place, ReadOptions
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
)  # fmt: skip
from polyseme.tasks.reading.formats import may_be_read
from polyseme.tasks.reading.local_file import LocalFile
from polyseme.tasks.reading.readers import STDIN_URI
from polyseme.tasks.reading.skipped import EXCLUDED, NOT_TEXT, Skipped
from polyseme.tasks.reading.source import Listed, Source
from polyseme.tasks.reading.standard_input import UNNAMED_STDIN
from polyseme.tasks.reading.tables.layout import DELTA, NAMED, TABLE_IN_FOLDER, TABLES, explained

logger = logging.getLogger(__name__)

_PLAIN = re.compile(r"file:///[A-Za-z0-9/._-]*")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._-]*")


@dataclass(frozen=True, slots=True)
class LocalSource(Source):
    """A `file`, `folder`, `glob` or `stdin`. Its `target` is the path or pattern with links resolved.

    That of standard input is the name it was given, empty if none was.
    """

    @property
    def name(self) -> str:
        """The target as text that can be stored, shown and given as a source: if not in UTF-8, its file:// address."""
        return self.target if is_utf8(self.target) else uri_of(self.target)

    @property
    def single(self) -> str | None:
        """The address of the file; None for another kind."""
        return uri_of(self.target) if self.kind == "file" else None

    @property
    def is_left_out(self) -> bool:
        """Whether the patterns leave out the one file that this source is."""
        return self.kind == "file" and self.leaves_out(self.target)

    @property
    def prefix(self) -> str:
        """The address of the file or folder, or of the folder that a pattern is in."""
        folder = fixed_folder(self.target) if self.kind == "glob" else self.target
        return uri_of(folder)

    @property
    def folder(self) -> str:
        """The folder that patterns are relative to."""
        if self.kind == "folder":
            return self.target
        return fixed_folder(self.target) if self.kind == "glob" else os.path.dirname(self.target)

    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[Listed]:
        """Yield the files to read and what is skipped, in a fixed order; then the folders that cannot be listed."""
        unlisted: list[Reject] = []
        for found in self.files(on_error=partial(_add_unlisted, unlisted)):
            if not isinstance(found, str):
                yield found
            else:
                yield LocalFile(found, uri_of(found), options, reading=reading)
        yield from unlisted

    def files(self, *, on_error: OnError | None = None) -> Iterator[str | Skipped | Reject]:
        """Yield the paths of files to read, what is skipped and the tables that are refused, in a fixed order.

        `on_error` is called for a folder that cannot be listed. What a glob pattern does not match is not part of it.
        """
        on_error = on_error or _warn
        if self.absent or self.kind == "stdin":
            return
        if self.kind == "file":
            yield Skipped(uri_of(self.target), EXCLUDED) if self.leaves_out(self.target) else self.target
            return
        walk = entries if self.kind == "folder" else expand
        for path, kind in walk(self.target, on_error=on_error, patterns=self.patterns, wanted=_is_read):
            if kind in TABLES:
                yield self._refused(path, kind)
            elif kind not in TO_READ:
                yield Skipped(uri_of(path) + ("/" if kind.endswith("folder") else ""), kind)
            elif _is_read(path):
                yield path
            elif kind == "file":
                yield Skipped(uri_of(path), NOT_TEXT)
            else:
                on_error(path, dangling())

    def _refused(self, folder: str, kind: str) -> Reject:
        """Return the reject of a table in this source."""
        place = folder if _PLAIN_PATH.fullmatch(folder) else f"delta://{quote_from_bytes(os.fsencode(folder))}"
        inside = folder[len(self.folder.rstrip("/")) + 1 :]
        message = explained(kind, inside, place=place if kind == DELTA else NAMED)
        return Place(f"{uri_of(folder).rstrip('/')}/", "", "").refuse(TABLE_IN_FOLDER, message)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this source if its file existed.

        Also for a name without a suffix, of which only the content can tell, and for a file of a table in this source,
        as earlier runs have read it. A member of an archive is, as the archive is.
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
        if not self.patterns:
            return False
        root = self.folder.rstrip("/") + "/"
        if not path.startswith(root):
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
        """Return whether a scan comes to every file shown in the folder of an address; if `deep`, also within."""
        if self.kind not in ("folder", "glob") or not folder.startswith("file:///"):
            return False
        path = path_of_uri(folder).rstrip("/") or "/"
        if self.leaves_out(path, folder=True):
            return False
        if self.kind == "folder":
            return path == self.target or self._shows(path)
        return takes_whole(path, self.target) and (not deep or self.target.endswith("**"))

    def _shows(self, path: str) -> bool:
        """Return whether an absolute path is in this folder, and neither it nor a folder on the way is hidden."""
        root = self.target.rstrip("/") + "/"
        return path.startswith(root) and "/." not in path[len(root) - 1 :]

    def holds(self, lake: Lake) -> bool:
        """Return whether this source would read the parts of `lake` as documents."""
        if not isinstance(lake.data, Path):
            return False
        # A lake's folder is resolved, and so is a folder when it is walked: the source may name it by a link.
        real = replace(self, target=os.path.realpath(self.target)) if self.kind == "folder" else self
        return real.covers((lake.data / "documents" / "part.parquet").as_uri())

    def scans(self, uri: str) -> bool:
        """Return whether rejects of `uri`, a file or folder, by earlier scans are replaced by a scan of this source.

        That of a table, which ends in a slash, also if its folder is excluded now: it is counted as such.
        """
        if uri.endswith("/"):
            return self.reaches(uri)
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

    def contains(self, name: str) -> bool:
        """Return whether the source of this name, a file, folder or pattern, is this folder or lies in it."""
        return self.kind == "folder" and (path_of(name) + "/").startswith(self.target.rstrip("/") + "/")


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


def uri_of(path: str) -> str:
    """Return the address of an absolute path, as documents have it."""
    plain = _PLAIN_PATH.fullmatch(path)  # as most are: a third of the time
    return f"file://{path if plain else quote_from_bytes(os.fsencode(path))}"


def _is_read(path: str) -> bool:
    return may_be_read(path.rpartition("/")[2])


def _kinds_at(path: str) -> tuple[bool, ...]:
    """Return whether a folder is at a path, to which patterns of files do not apply; both for a path that is gone.

    A link that leads nowhere may have led to a folder.
    """
    if os.path.isfile(path):
        return (False,)
    return (True,) if os.path.lexists(path) else (False, True)


def _warn(folder: str, error: OSError) -> None:
    logger.warning("%s cannot be listed: %s", folder, error.strerror)


def _add_unlisted(unlisted: list[Reject], folder: str, error: OSError) -> None:
    message = f"the folder cannot be listed: {error.strerror}; check that it exists and its permissions, then run again"
    unlisted.append(Place(uri_of(folder), "", "").refuse("unreadable", message))
