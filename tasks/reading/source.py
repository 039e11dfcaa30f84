"""A source: which files it has, and which addresses a scan of it covers. Opens no file.

Each kind of source is a class of its own: `local_source` has files, folders, glob patterns and standard input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from polyseme.storage.lake import Lake
from polyseme.storage.records import Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source_file import SourceFile

Listed: TypeAlias = "SourceFile | Reject | Skipped"
"""A file to read, a place that could not be listed, or what is not read."""


@dataclass(frozen=True, slots=True)
class Source(ABC):
    """One argument of the user, resolved. `target` is its identity: the path, pattern or address, however it was typed.

    An `absent` source is not there now, but documents that were read from it are known. What `patterns` leave out is
    not covered by a scan of this source; they are no part of its identity.
    """

    spec: str
    kind: str
    target: str = ""
    absent: bool = False
    patterns: Patterns = field(default=ALL, compare=False)

    @property
    def name(self) -> str:
        """The target as text that can be stored, shown and given as a source."""
        return self.target

    @property
    def away(self) -> str:
        """What is not there, of a source that is absent."""
        return self.name

    @property
    def single(self) -> str | None:
        """The address of the one file that this source is; None for a source that may have several, or none."""
        return None

    @property
    def is_left_out(self) -> bool:
        """Whether the patterns leave out the one file that this source is."""
        return False

    @property
    @abstractmethod
    def prefix(self) -> str:
        """What the addresses of all documents that this source covers begin with."""

    @abstractmethod
    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[Listed]:
        """Yield the files to read, what is skipped and what cannot be listed, in a fixed order, each once.

        `options` say how the files are read; `reading` stands for that, see `source_file.reading_of`.
        """

    @abstractmethod
    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this source if its file existed.

        Also for a name without a suffix, of which only the content can tell. A member of an archive is, as the
        archive is.
        """

    @abstractmethod
    def reaches(self, uri: str) -> bool:
        """Return whether a scan of this source comes to a file of any name, or to a folder if `uri` ends in a slash.

        What is in an archive is where the archive is. So too if the patterns leave out the file itself.
        """

    def reads_table(self, folder: str) -> bool:
        """Return whether this source reads the table that lies in the folder of an address, which ends in a slash."""
        return False

    def takes_whole(self, folder: str, *, deep: bool) -> bool:
        """Return whether a scan comes to every file shown in the folder of an address; if `deep`, also within."""
        return False

    @abstractmethod
    def scans(self, uri: str) -> bool:
        """Return whether rejects of `uri`, a file or folder, by earlier scans are replaced by a scan of this source."""

    @abstractmethod
    def holds(self, lake: Lake) -> bool:
        """Return whether this source would read the parts of `lake` as documents."""

    @abstractmethod
    def contains(self, name: str) -> bool:
        """Return whether the source of this name is this folder or lies in it."""
