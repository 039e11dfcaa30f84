"""Source files: what a lake keeps of a file that was read, so that it is not opened again until it changes.

Plain values: knows neither the catalog nor where files lie. An object of an object store has a state as a local file
has: what its listing says of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class FileState:
    """What is known of a file without opening it.

    `modified_ns` is the time of its last change in nanoseconds since 1970 in UTC. `stamp` differs if the content may
    differ although size and time are equal: the inode of a local file and the time of its last change of status, which
    nobody can set; the ETag or version of an object.
    """

    size: int
    modified_ns: int
    stamp: str


@dataclass(frozen=True, slots=True)
class SkippedPart:
    """What is not read of a file, all of it or so many members: an example of their addresses, and the reason."""

    example: str
    reason: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """What reading a file in this state gave: so many `documents` with this `digest`, and nothing that was refused.

    `reading` stands for the options and the release that read it. `has_members` if the documents are not at the address
    of the file but within it: `file:///a.zip!/b.txt`. What was `skipped` has one entry an extension and reason.
    """

    uri: str
    state: FileState
    reading: str
    documents: int
    digest: str
    has_members: bool = False
    skipped: tuple[SkippedPart, ...] = ()


class DocumentsDigest:
    """A digest of documents that does not depend on their order, in constant memory, as they are added.

    Those that are `kept` of a file may be the first.
    """

    __slots__ = ("_sum", "documents")

    def __init__(self, kept: ReadFile | None = None) -> None:
        self.documents = kept.documents if kept is not None else 0
        self._sum = int(kept.digest, 16) if kept is not None else 0

    def add(self, doc_id: str, record_sha256: str, member: str = "") -> None:
        """Add a document; `member` is what its address has behind that of its file."""
        self._sum = (self._sum + _number(doc_id, record_sha256, member)) % _MODULUS
        self.documents += 1

    def remove(self, doc_id: str, record_sha256: str, member: str = "") -> None:
        """Take away a document that was added."""
        self._sum = (self._sum - _number(doc_id, record_sha256, member)) % _MODULUS
        self.documents -= 1

    @property
    def value(self) -> str:
        """64 hex digits."""
        return f"{self._sum:064x}"


def _number(doc_id: str, record_sha256: str, member: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{record_sha256}{member}\0{doc_id}".encode()).digest())
