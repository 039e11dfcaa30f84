"""What a parser is asked and what it answers. Knows no format.

Text is joined from sections (pages, slides, chapters), each normalised by itself: nothing composes across the blank
line between two, so that where a section starts is where it starts in the stored text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from polyseme.tasks.reading.normalization import normalise

BETWEEN = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseRequest:
    """A file to parse: its format as a suffix, its path or its bytes, and limits on the text and on the process."""

    suffix: str
    path: str | None = None
    data: bytes | None = None
    most_bytes: int
    seconds: int
    megabytes: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """One text. `part` is its kind and its name among several of a file (`sheet`, `Ports`), None for the only one."""

    text: str
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    part: tuple[str, str] | None = None


class RefusedError(Exception):
    """A file that cannot be a document, or one `part` of it: the code and the message of its reject."""

    def __init__(self, code: str, message: str, part: tuple[str, str] | None = None) -> None:
        super().__init__(code, message, part)
        self.code = code
        self.message = message
        self.part = part


class TooLargeError(Exception):
    """The text is longer than a document may be."""


def corrupt(what: str) -> RefusedError:
    """Return the refusal of a damaged file."""
    return RefusedError("corrupt", f"damaged ({what}); restore or rewrite the file")


class Text:
    """A text that grows by paragraphs and sections, up to a limit. Raises TooLargeError beyond it."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._pieces: list[str] = []
        self._size = 0
        self.starts: list[int] = []

    def add(self, paragraph: str) -> None:
        """Add a paragraph, unless it is blank."""
        paragraph = normalise(paragraph.strip("\n")).rstrip()
        if not paragraph.strip():
            return
        self._size += len(paragraph) + (len(BETWEEN) if self._pieces else 0)
        if self._size > self._most:
            raise TooLargeError
        self._pieces.append(paragraph)

    def start_section(self) -> None:
        """Note that what is added next begins a section."""
        self.starts.append(self._size + (len(BETWEEN) if self._pieces else 0))

    def joined(self) -> str:
        """Return the text so far."""
        return BETWEEN.join(self._pieces)

    def sections(self) -> list[int]:
        """Return where the sections start, in characters; one that has nothing in it starts where the next one does."""
        return [min(start, self._size) for start in self.starts]


def of_sections(sections: Iterable[str], name: str, most_bytes: int) -> tuple[str, dict[str, Any]]:
    """Return the text of several sections, and metadata that say under `name` where each starts."""
    text = Text(most_bytes)
    for section in sections:
        text.start_section()
        text.add(section)
    return text.joined(), {name: text.sections()}


def stated(**fields: object) -> dict[str, Any]:
    """Return the fields that are stated, without those that are empty."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
