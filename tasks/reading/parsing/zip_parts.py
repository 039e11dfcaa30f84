"""The parts of a document that is a ZIP file: read as a stream, bounded in number and in what they expand to."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION
from polyseme.tasks.reading.parsing.parsed import RefusedError, corrupt

_BLOCK = 1 << 16
_MOST_PARTS = 100_000
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, KeyError)


class ZipParts:
    """A ZIP file in memory, by the names of its parts. Refuses what is damaged, encrypted or a bomb."""

    def __init__(self, data: bytes) -> None:
        self._size = len(data)
        self._expanded = 0
        with _refusing("a ZIP file"):
            self._file = zipfile.ZipFile(io.BytesIO(data))
        infos = self._file.infolist()
        if len(infos) > _MOST_PARTS:
            raise corrupt(f"{len(infos):,} parts in a ZIP file, and {_MOST_PARTS:,} are read")
        self.names = {info.filename: info for info in infos}
        if any(info.flag_bits & 1 for info in infos):
            raise RefusedError("encrypted", "needs a password; save it without one")

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what is in a part. Refuses one that is not there."""
        if name not in self.names:
            raise corrupt(f"no part {name[:80]}")
        with _refusing(name), self._file.open(self.names[name]) as part:
            while block := part.read(_BLOCK):
                self._expanded += len(block)
                if self._expanded > FREE_BYTES and self._expanded > MOST_EXPANSION * self._size:
                    message = f"expands to more than {MOST_EXPANSION} times its size; save it again, or remove it"
                    raise RefusedError("decompression-bomb", message)
                yield block

    def read(self, name: str) -> bytes:
        """Return what is in a part."""
        return b"".join(self.chunks(name))


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise corrupt(f"{what[:80]}: {str(error)[:80]}") from error


def beside(part: str, target: str) -> str:
    """Return the name of the part that `part` refers to as `target`."""
    target = unquote(target.partition("#")[0])
    if target.startswith("/"):
        return posixpath.normpath(target).lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(part), target))
