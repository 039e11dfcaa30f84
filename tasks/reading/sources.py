"""Sources: from the user's arguments to a stream of documents and rejects, and which documents a scan covers.

Files, folders, glob patterns, `file://` addresses and `-` for standard input. Knows no catalog: the caller decides
whether a document is new, changed, a duplicate or gone, with `Source.covers` and `shields`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake, scheme_with_secret
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.ahead import parsed_ahead
from polyseme.tasks.reading.archives import WITHIN, archive_of
from polyseme.tasks.reading.byte_streams import COMPRESSIONS
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.folders import MAGIC, TO_READ, OnError, entries, expand, fixed_folder, matches
from polyseme.tasks.reading.formats import SUFFIXES, format_of, may_be_read
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.readers import STDIN_URI, read_file
from polyseme.tasks.reading.regular_files import special_kind
from polyseme.tasks.reading.skipped import EXCLUDED, HIDDEN, NOT_TEXT, Skipped
from polyseme.tasks.reading.source_file import SourceFile, reading_of
from polyseme.tasks.reading.standard_input import UNNAMED_STDIN, check_stdin_name, read_named_stdin

logger = logging.getLogger(__name__)

INCOMPLETE_CODES = frozenset({
    "unreadable", "truncated", "decompression-bomb", "corrupt", "undecodable", "unforeseen", "wrong-format",
    "missing-extra", "parser-timeout", "parser-memory", "parser-crashed", "encrypted",
})  # fmt: skip
"""Codes of a file (or, with `unreadable`, a folder) that was not read to its end: its other documents are unknown."""

_PLAIN = re.compile(r"file:///[A-Za-z0-9/._-]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


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
        return self.target if is_utf8(self.target) else _uri(self.target)

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
            yield Skipped(_uri(self.target), EXCLUDED) if self.leaves_out(self.target) else Path(self.target)
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
            elif kind == "file":  # a dangling link was an error
                yield Skipped(path.as_uri(), NOT_TEXT)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this source if its file existed.

        Also for a name without a suffix, of which only the content can tell. A member of an archive is, as the
        archive is.
        """
        if self.kind == "stdin" or not uri.startswith("file:///"):
            return False
        uri = archive_of(uri)
        if self.kind == "file":
            return uri == _uri(self.target) and not self.leaves_out(self.target)
        path = _path_of(uri)
        if not may_be_read(path.rpartition("/")[2]):
            return False
        if self.kind == "glob":
            return matches(path, self.target) and not self.leaves_out(path)
        root = self.target.rstrip("/") + "/"
        is_shown = path.startswith(root) and not any(name.startswith(".") for name in path[len(root) :].split("/"))
        return is_shown and not self.leaves_out(path)

    def leaves_out(self, path: str, *, folder: bool = False) -> bool:
        """Return whether the patterns leave out an absolute path in the source's folder: a file, or a `folder`."""
        root = self.folder.rstrip("/") + "/"
        if not self.patterns or not path.startswith(root):
            return False
        inside = path[len(root) :]
        return self.patterns.leave_out_within(inside) if folder else self.patterns.leave_out(inside)

    def reaches(self, uri: str) -> bool:
        """Return whether a file of any name, or a folder if `uri` ends in a slash, is this source or lies in it."""
        if self.kind == "stdin" or not uri.startswith("file:///"):
            return False
        path = _path_of(uri.partition("!/")[0])
        if self.kind == "glob":
            return matches(path, self.target) or (uri.endswith("/") and path.startswith(self.folder.rstrip("/") + "/"))
        return self.contains(path) if self.kind == "folder" else path == self.target

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
        path = _path_of(archive_of(uri))
        kinds = (False,) if WITHIN in uri else _kinds_at(path)
        is_inside = self.contains(path) if self.kind == "folder" else matches(path, self.target)
        return is_inside and not any(self.leaves_out(path, folder=folder) for folder in kinds)

    def contains(self, path: str) -> bool:
        """Return whether an absolute path, or a pattern, is this folder or lies in it."""
        return self.kind == "folder" and (path + "/").startswith(self.target.rstrip("/") + "/")


Known = Callable[[Source], bool]


def resolve(
    specs: Sequence[str],
    *,
    lake: Lake | None = None,
    known: Known = lambda source: False,
    stdin_name: str | None = None,
    patterns: Patterns = ALL,
) -> list[Source]:
    """Resolve each argument to a source, and leave out what `patterns` do.

    One that is not there is absent if it is `known`. Raises UsageError for one that names nothing readable, has a
    password, or contains the parts of `lake`.
    """
    refuse_credentials(specs)
    name = check_stdin_name(stdin_name, specs)
    sources = [Source(spec, "stdin", name) if spec == "-" else _resolve(spec, known) for spec in specs]
    sources = [replace(source, patterns=patterns) for source in sources]
    for source in sources:
        if lake is not None and source.holds(lake):
            raise UsageError(
                f"The lake {lake.root} lies inside the source {source.spec}, so every commit would be read as new "
                "documents. Choose another folder for the lake with --lake, or leave it out with --exclude."
            )
    return sources


def names(sources: Sequence[Source]) -> list[str]:
    """Return what each source is called where it is recorded: the same however and wherever it was typed."""
    return ["-" if source.kind == "stdin" else source.name for source in sources]


def refuse_credentials(specs: Sequence[str]) -> None:
    """Raise UsageError for an address with a password, without repeating it in the message.

    Sources are stored in the catalog, in Prefect's parameters and in logs, and so would the password.
    """
    for spec in specs:
        if scheme := scheme_with_secret(spec):
            raise UsageError(
                f"A source {scheme}://… has a user, a password or a query in its address, which would be stored in the "
                "catalog and in logs. Download it and name the file, with ./ if its name has colons, or pipe it into -."
            )


def read_sources(
    sources: Sequence[Source], options: ReadOptions, *, stdin: BinaryIO
) -> Iterator[Document | Reject | Skipped]:
    """Yield the documents, rejects and skipped files of `sources` in order, each file once even if several name it."""
    for item in parsed_ahead(list_sources(sources, options, stdin=stdin)):
        if isinstance(item, SourceFile):
            yield from item.read()
        else:
            yield item


def list_sources(
    sources: Sequence[Source], options: ReadOptions, *, stdin: BinaryIO
) -> Iterator[SourceFile | Document | Reject | Skipped]:
    """Yield what `read_sources` does, with each file in place of what it gives: whoever wants that reads the file."""
    reading = reading_of(options)
    # One source never names a file twice, and a million addresses would take memory.
    seen: set[str] | None = set() if len(sources) > 1 else None
    files = {
        _uri(source.target) for source in sources if source.kind == "file" and not source.leaves_out(source.target)
    }
    for source in sources:
        if source.kind == "stdin":
            if seen is None or STDIN_URI not in seen:
                yield from read_named_stdin(stdin, options, name=source.target)
            if seen is not None:
                seen.add(STDIN_URI)
            continue
        unlisted: list[Reject] = []
        for found in source.files(on_error=partial(_add_unlisted, unlisted)):
            uri = found.uri if isinstance(found, Skipped) else found.as_uri()
            if seen is not None:
                if uri in seen or (isinstance(found, Skipped) and _is_read(found, sources, files)):
                    continue
                seen.add(uri)
            if isinstance(found, Skipped):
                yield found
            else:
                read = partial(read_file, found, uri, options)
                yield SourceFile(str(found), uri, options, reading=reading, read=read)
        yield from unlisted


def _is_read(skipped: Skipped, sources: Sequence[Source], files: Set[str]) -> bool:
    """Return whether another source reads what one leaves out: the address of one of `files`, or in another folder."""
    if skipped.reason not in (EXCLUDED, HIDDEN):
        return False
    return skipped.uri in files or any(s.covers(skipped.uri) for s in sources if s.kind in ("folder", "glob"))


def shields(reject: Reject, uri: str) -> bool:
    """Return whether documents of `uri` may still exist although they were not read, because of `reject`.

    So for a file that was not read to its end or has nothing in it, with what is in it if it is an archive, for
    everything under a folder that could not be listed, and for a record whose id is not known: none of them proves that
    a document is gone.
    """
    if reject.uri != uri:
        if reject.code == "unreadable" and uri.startswith(reject.uri.rstrip("/") + "/"):
            return True
        return reject.code in INCOMPLETE_CODES and uri.startswith(reject.uri + WITHIN)
    return reject.code in INCOMPLETE_CODES or reject.doc_id is None


def _resolve(spec: str, known: Known) -> Source:
    name = _path_in(spec) if _SCHEME.match(spec) else spec
    if not name or "\0" in name or not _is_encodable(name):
        raise UsageError(
            f"source {spec!r} names nothing; give a file, a folder, a glob pattern, or - for standard input"
        )
    path = _absolute(name)
    real = os.path.realpath(path)
    # The name of a file decides how it is read, so a link to a file keeps its name.
    file = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    # A link that leads nowhere has no content to look into; it may have led to a folder.
    readable = format_of(os.path.basename(path)) is not None or (
        may_be_read(os.path.basename(path)) and os.path.exists(path)
    )
    if os.path.isdir(path):
        return Source(spec, "folder", real)
    special = special_kind(path)
    if os.path.lexists(path) and readable and not special:
        return Source(spec, "file", file)
    # A pipe in the place of a known file is read as one, so that its reject says what it is.
    for missing in (Source(spec, "file", file, special is None), Source(spec, "folder", real, True)):
        # Also if the name has a wildcard: as a pattern it would read other files, and miss the one that is away.
        if known(missing):
            return missing
    is_pattern = bool(MAGIC.search(spec)) and not _SCHEME.match(spec) and not os.path.lexists(path)
    if is_pattern:
        pattern = _real_pattern(path)
        source = Source(spec, "glob", pattern, absent=not os.path.lexists(fixed_folder(pattern)))
        if any(isinstance(found, Path) for found in source.files()) or known(source):
            return source
    if is_pattern:
        raise UsageError(f"no file that can be read matches {spec!r} ({path}); {_FORMATS}")
    if special:
        raise UsageError(f"source {spec!r} is {special}, not a file or a folder; pipe what it gives into -")
    if os.path.lexists(path):
        raise UsageError(f"source {spec!r} is of a format that is not read; {_FORMATS}")
    raise UsageError(f"source {spec!r} does not exist ({path}); give a file, a folder, a glob pattern, or -")


def _real_pattern(pattern: str) -> str:
    folder = fixed_folder(pattern)
    return os.path.realpath(folder).rstrip("/") + pattern[len(folder.rstrip("/")) :]


_FORMATS = (
    f"formats are {' '.join(SUFFIXES)}, each but .parquet and .zip also with {' '.join(COMPRESSIONS)}; "
    "pipe anything else as text or JSON lines into -"
)


def _absolute(path: str) -> str:
    # The parent of a link is not the folder before it in the path, so a path with `..` is resolved completely.
    return os.path.realpath(path) if ".." in path.split("/") else os.path.abspath(path)


def _path_in(spec: str) -> str:
    """Return the path of an address that a user gave. Raises UsageError for one that urlsplit reads as another file."""
    try:
        parts = urlsplit(spec)
    except ValueError as error:
        raise UsageError(f"source {spec!r} is not an address ({error}); give a path, or file:// and a path") from error
    lost = parts.query or parts.fragment or any(character in spec for character in "\t\r\n") or not is_utf8(spec)
    if parts.scheme == "file" and lost:
        raise UsageError(
            f"source {spec!r} has ?, #, a line break or bytes that are not UTF-8 in it; write %3F, %23, %0A, %FF"
        )
    return _path_of(spec)


def _is_encodable(name: str) -> bool:
    """Return whether the system could have a file of this name: some surrogates stand for bytes, others for nothing."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _path_of(uri: str) -> str:
    if _PLAIN.fullmatch(uri):  # as most are: a tenth of the time
        return uri[len("file://") :]
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise UsageError(f"source {uri!r} is not on this machine; mount or download it, or pipe it into -")
    return os.fsdecode(unquote_to_bytes(parts.path))


def path_of(name: str) -> str:
    """Return the path or pattern of a source with this name."""
    return _path_of(name) if name.startswith("file:///") else name


@lru_cache(maxsize=256)
def _uri(path: str) -> str:
    return Path(path).as_uri()


def _kinds_at(path: str) -> tuple[bool, ...]:
    """Return whether a folder is at a path, to which patterns of files do not apply; both for a path that is gone.

    A link that leads nowhere may have led to a folder.
    """
    if os.path.isfile(path):
        return (False,)
    return (True,) if os.path.lexists(path) else (False, True)


def _add_unlisted(unlisted: list[Reject], folder: Path, error: OSError) -> None:
    if os.path.islink(folder) and may_be_read(folder.name):
        return  # it is read as a file, with the same error
    message = f"the folder cannot be listed: {error.strerror}; check that it exists and its permissions, then run again"
    unlisted.append(Place(folder.as_uri(), "", "").refuse("unreadable", message))


def _warn(folder: Path, error: OSError) -> None:
    logger.warning("%s cannot be listed: %s", folder, error.strerror)
