"""What the user names -> a stream of documents and rejects, and which documents a later scan may miss.

Files, folders, glob patterns, `file://` addresses and `-` for standard input. Knows no catalog: whether a document is
new, changed, doubled or gone is decided by the caller, with `Source.covers` and `shields`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import COMPRESSIONS
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.folders import MAGIC, OnError, expand, matches, walk
from polyseme.tasks.reading.readers import STDIN_URI, SUFFIXES, format_of, read_file, read_stdin

logger = logging.getLogger(__name__)

INCOMPLETE_CODES = frozenset({"unreadable", "truncated", "bomb", "corrupt", "undecodable"})
"""Codes that say a file, or with `unreadable` a folder, was not read to its end: what it holds is not known."""

_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Source:
    """One argument of the user, resolved. `target` is its absolute path or pattern; empty for standard input."""

    spec: str
    kind: Literal["file", "folder", "glob", "stdin"]
    target: str = ""

    def files(self, *, on_error: OnError | None = None) -> Iterator[Path]:
        """Yield the files to read, in a fixed order. A folder that cannot be listed goes to `on_error`."""
        on_error = on_error or _warn
        if self.kind == "file":
            yield Path(self.target)
        if self.kind in ("file", "stdin"):
            return
        found = (
            walk(Path(self.target), on_error=on_error)
            if self.kind == "folder"
            else expand(self.target, on_error=on_error)
        )
        unknown = 0
        for path in found:
            if format_of(path.name):
                yield path
            else:
                unknown += 1
        if unknown:
            logger.info("%s: passed over %d files of unknown format", self.spec, unknown)

    def covers(self, uri: str) -> bool:
        """True where a document of `uri` would come from here if its file existed."""
        if self.kind == "stdin" or not uri.startswith("file:///"):
            return False
        if self.kind == "file":
            return uri == _uri(self.target)
        path = _path_of(uri)
        if format_of(os.path.basename(path)) is None:
            return False
        if self.kind == "glob":
            return matches(path, self.target)
        root = self.target.rstrip("/") + "/"
        return path.startswith(root) and not any(name.startswith(".") for name in path[len(root) :].split("/"))

    def holds(self, lake: Lake) -> bool:
        """True where this source would read the parts of a lake as documents."""
        if not isinstance(lake.data, Path):
            return False
        # A lake's folder is resolved, and so is a folder when it is walked: it may have been named by a link.
        real = replace(self, target=os.path.realpath(self.target)) if self.kind == "folder" else self
        return real.covers((lake.data / "documents" / "part.parquet").as_uri())

    def scans(self, uri: str) -> bool:
        """True where a scan of this source says all there is to say of `uri`, a document's or a folder's."""
        if self.kind == "stdin":
            return uri == STDIN_URI
        if self.kind == "folder" and uri.startswith("file:///"):
            return (_path_of(uri) + "/").startswith(self.target.rstrip("/") + "/")
        return self.covers(uri)


def resolve(specs: Sequence[str], *, lake: Lake | None = None) -> list[Source]:
    """Say what each argument means.

    Raises UsageError for one that names nothing that can be read, or that holds the parts of `lake`.
    """
    refuse_credentials(specs)
    sources = [_resolve(spec) for spec in specs]
    for source in sources:
        if lake is not None and source.holds(lake):
            raise UsageError(
                f"The lake {lake.root} lies inside the source {source.spec}, so every commit would be read as new "
                "documents. Put the lake elsewhere with --lake."
            )
    return sources


def refuse_credentials(specs: Sequence[str]) -> None:
    """Raise UsageError for an address with a password in it, and do not repeat it.

    Sources stand in the catalog, in Prefect's parameters and in logs: a password would stay in all three.
    """
    for spec in specs:
        if _PASSWORD.match(spec):
            raise UsageError(
                f"A source on {spec.rpartition('@')[2].partition('/')[0]} has a user and password in its address, "
                "which would end up in the catalog and in logs. Download it and name the file, or pipe it into -."
            )


def read_sources(sources: Sequence[Source], options: ReadOptions, *, stdin: BinaryIO) -> Iterator[Document | Reject]:
    """Read every document of `sources` in order, each file once however many sources name it."""
    # One source never names a file twice, and a million addresses are worth not keeping.
    seen: set[str] | None = set() if len(sources) > 1 else None
    for source in sources:
        if source.kind == "stdin":
            if seen is None or STDIN_URI not in seen:
                yield from read_stdin(stdin, options)
            if seen is not None:
                seen.add(STDIN_URI)
            continue
        unlisted: list[Reject] = []
        for path in source.files(on_error=partial(_note_unlisted, unlisted)):
            uri = path.as_uri()
            if seen is not None:
                if uri in seen:
                    continue
                seen.add(uri)
            yield from read_file(path, uri, options)
        yield from unlisted


def shields(reject: Reject, uri: str) -> bool:
    """True where `reject` means that documents of `uri` may exist although this read did not show them.

    So for a file that was not read to its end, for everything under a folder that could not be listed, and for a
    record so broken that its id is not known: none of them proves that a document is gone.
    """
    if reject.uri != uri:
        return reject.code == "unreadable" and uri.startswith(reject.uri.rstrip("/") + "/")
    return reject.code in INCOMPLETE_CODES or (reject.doc_id is None and reject.code != "empty-file")


def _resolve(spec: str) -> Source:
    if spec == "-":
        return Source(spec, "stdin")
    if not spec or "\0" in spec:
        raise UsageError(
            f"source {spec!r} names nothing; give a file, a folder, a glob pattern, or - for standard input"
        )
    path = _absolute(_path_of(spec) if _SCHEME.match(spec) else spec)
    if os.path.isdir(path):
        return Source(spec, "folder", path)
    if os.path.lexists(path):
        if format_of(os.path.basename(path)) is None:
            raise UsageError(f"source {spec!r} is of a format that is not read; {_FORMATS}")
        return Source(spec, "file", path)
    if MAGIC.search(spec) and not _SCHEME.match(spec):
        source = Source(spec, "glob", path)
        if next(source.files(), None) is None:
            raise UsageError(f"no file that can be read matches {spec!r} ({path}); {_FORMATS}")
        return source
    raise UsageError(f"source {spec!r} does not exist ({path}); give a file, a folder, a glob pattern, or -")


_FORMATS = (
    f"formats are {' '.join(SUFFIXES)}, each but .parquet also with {' '.join(COMPRESSIONS)}; "
    "pipe anything else as text or JSON lines into -"
)


def _absolute(path: str) -> str:
    # `link/..` is not where it looks: only the system knows, so such a path is resolved in full.
    return os.path.realpath(path) if ".." in path.split("/") else os.path.abspath(path)


def _path_of(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise UsageError(f"source {uri!r} is not on this machine; mount or download it, or pipe it into -")
    return os.fsdecode(unquote_to_bytes(parts.path))


@lru_cache(maxsize=256)
def _uri(path: str) -> str:
    return Path(path).as_uri()


def _note_unlisted(unlisted: list[Reject], folder: Path, error: OSError) -> None:
    message = f"the folder cannot be listed: {error.strerror}; check that it exists and may be read, then run again"
    unlisted.append(Place(folder.as_uri(), "", "").refuse("unreadable", message))


def _warn(folder: Path, error: OSError) -> None:
    logger.warning("%s cannot be listed: %s", folder, error.strerror)
