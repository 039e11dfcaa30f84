"""Archives as folders: the members of a ZIP or tar file, each at the address `archive.zip!/folder/name.txt`.

Streamed, and bounded: in members, in archives within archives, and in what all of it expands to. Nothing is unpacked
into files under the members' names. Knows no format of members: `read` yields what is in one.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias, cast
from urllib.parse import quote_from_bytes

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import BLOCK, FREE_BYTES, MOST_EXPANSION, ExpansionError, buffered, inflated
from polyseme.tasks.reading.documents import Place
from polyseme.tasks.reading.skipped import HIDDEN, SPECIAL, Skipped

WITHIN = "!/"
"""Between the address of an archive and the path of a member. In addresses of files `!` is `%21`."""
MOST_DEPTH = 3
"""Archives within archives, the outermost counted."""
MOST_MEMBERS = 1_000_000
_MOST_DIRECTORY = 64 << 20
"""Bytes of a ZIP file's list of members, of which Python takes ten times as much memory."""
_IN_MEMORY = 16 << 20

Item: TypeAlias = Document | Reject | Skipped


class ArchiveLimitError(ExpansionError):
    """An archive that exceeds a bound: the rest of it is not read."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive: its path, how to open it, and why it is not read if it is not."""

    name: str
    open: Callable[[], BinaryIO]
    skipped: str = ""
    encrypted: bool = False


Read: TypeAlias = Callable[[Member, str, "Archive"], Iterator[Item]]


def archive_of(uri: str) -> str:
    """Return the address of the file that holds the member of this address; of a file its own."""
    return uri.partition(WITHIN)[0]


def read_archive(suffix: str, compression: str, raw: BinaryIO, uri: str, read: Read) -> Iterator[Item]:
    """Yield what is in all members of an archive, in its order, and each member that is not read.

    Raises ArchiveLimitError, and what damage raises, after the members before it.
    """
    size = raw.seek(0, os.SEEK_END)
    raw.seek(0)
    yield from Archive(size, read).members(suffix, compression, raw, uri, depth=1)


class Archive:
    """The bounds of one file, with all archives in it."""

    def __init__(self, size: int, read: Read) -> None:
        self._size = size
        self._read = read
        self._expanded = self._members = 0
        self._depth = 0

    def members(self, suffix: str, compression: str, raw: BinaryIO, uri: str, *, depth: int) -> Iterator[Item]:
        """Yield what is in the members of this archive, or of one in it."""
        found = _zip_members(raw) if suffix == ".zip" else _tar_members(inflated(raw, compression))
        before = self._members
        for member in found:
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise ArchiveLimitError(f"more than {MOST_MEMBERS:,} members", "Split it, or unpack it")
            self._depth = depth
            at = uri + WITHIN + quote_from_bytes(os.fsencode(_encodable(member.name)))
            refused = _refused(member, at)
            if refused is not None:
                yield refused
            else:
                yield from self._read(member, at, self)
        if self._members == before:
            yield Place(uri, "", uri).refuse("empty-file", "no file in it; make the archive again or remove it")

    def nested(self, suffix: str, compression: str, stream: io.BufferedReader, uri: str) -> Iterator[Item]:
        """Yield what is in an archive that is a member."""
        depth = self._depth + 1
        if depth > MOST_DEPTH:
            message = f"an archive in {MOST_DEPTH} others, and so many are opened; unpack the outer one"
            yield Place(uri, "", uri).refuse("decompression-bomb", message)
        elif suffix == ".zip":
            with self.spooled(stream) as raw:
                yield from self.members(suffix, compression, raw, uri, depth=depth)
        else:
            yield from self.members(suffix, compression, cast("BinaryIO", stream), uri, depth=depth)

    def counted(self, stream: BinaryIO) -> io.BufferedReader:
        """Return a stream whose reader raises ArchiveLimitError once all members expand beyond the limit."""
        return buffered(self._counted(stream))

    def _counted(self, stream: BinaryIO) -> Iterator[bytes]:
        while block := stream.read(BLOCK):
            self._expanded += len(block)
            if self._expanded > FREE_BYTES and self._expanded > MOST_EXPANSION * self._size:
                raise ArchiveLimitError(
                    f"its members expand to more than {MOST_EXPANSION} times its size of {self._size:,} bytes"
                )
            yield block

    @contextmanager
    def spooled(self, stream: io.BufferedReader) -> Iterator[BinaryIO]:
        """Hold a member in memory, or in a temporary file without a name, for formats that are read from their end."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            while block := stream.read(BLOCK):
                file.write(block)
            file.seek(0)
            yield cast("BinaryIO", file)


def _refused(member: Member, uri: str) -> Item | None:
    """Return why a member is not read; None if it is."""
    names = member.name.split("/")
    if member.name.startswith("/") or ".." in names or "\0" in member.name:
        message = "its path leads out of the archive; make the archive again with paths below its own folder"
        return Place(uri, "", uri).refuse("unsafe-path", message)
    if member.skipped:
        return Skipped(uri, member.skipped)
    if any(name.startswith(".") and name != "." for name in names) or names[0] == "__MACOSX":
        return Skipped(uri, HIDDEN)
    if member.encrypted:
        return Place(uri, "", uri).refuse("encrypted", "needs a password; make the archive without one")
    return None


def _encodable(name: str) -> str:
    """Return a name that the system could have: lone surrogates that stand for no byte are replaced."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode(errors="replace").decode()
    return name


def _zip_members(raw: BinaryIO) -> Iterator[Member]:
    _check_directory(raw)
    try:
        file = zipfile.ZipFile(raw)
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error
    with file:
        for info in file.infolist():
            if info.filename.endswith("/"):
                continue
            mode = info.external_attr >> 16
            special = SPECIAL if stat.S_IFMT(mode) not in (0, stat.S_IFREG) else ""
            yield Member(info.filename, _opener(file, info), special, bool(info.flag_bits & 1))


def _opener(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        try:
            return cast("BinaryIO", file.open(info))
        except (OSError, ValueError, IndexError, struct.error) as error:  # of places and lengths that are damaged
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise zipfile.BadZipFile(str(error)) from error

    return opened


def _check_directory(raw: BinaryIO) -> None:
    """Raise ArchiveLimitError for a list of members that would take too much memory; leaves the file at its start."""
    end = raw.seek(0, os.SEEK_END)
    raw.seek(max(0, end - 65_557))
    tail = raw.read()
    at = tail.rfind(b"PK\5\6")
    size = struct.unpack_from("<L", tail, at + 12)[0] if 0 <= at <= len(tail) - 16 else 0
    if size == 0xFFFF_FFFF and (at := tail.rfind(b"PK\6\6")) >= 0 and at <= len(tail) - 48:
        size = struct.unpack_from("<Q", tail, at + 40)[0]
    raw.seek(0)
    if _MOST_DIRECTORY < size <= end:  # a longer one is damage
        found = f"a list of members of {size:,} bytes, and {_MOST_DIRECTORY:,} are read"
        raise ArchiveLimitError(found, "Split it, or unpack it")


def _tar_members(stream: io.BufferedReader) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as file:
        while (info := _following(file)) is not None:
            file.members = []  # type: ignore[attr-defined]  # it keeps every member that it has passed
            if info.isdir():
                continue
            special = "" if info.isreg() else SPECIAL
            yield Member(info.name.removeprefix("./"), _extractor(file, info), special)


def _following(file: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return file.next()
    except (ValueError, IndexError, OverflowError, struct.error) as error:  # of numbers that are damaged
        raise tarfile.ReadError(str(error)) from error


def _extractor(file: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], BinaryIO]:
    return lambda: cast("BinaryIO", file.extractfile(info))
