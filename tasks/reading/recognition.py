"""How a file is read: what its name says, unless its beginning shows that it is something else."""

from __future__ import annotations

from typing import BinaryIO

from polyseme.tasks.reading.content import HEAD_BYTES, format_of_content, has_signature
from polyseme.tasks.reading.formats import ARCHIVES, PARSERS, format_of

_TEXT_LIKE = frozenset({".html", ".htm", ".xhtml", ".xml", ".tei", ".rst", ".org", ".ipynb", ".eml", ".mbox",
                        ".tex", ".adoc", ".asciidoc"})  # fmt: skip
"""Formats that are text: any text may be one, so that the name decides, except between kinds of mail and of markup."""
_ALIKE = {".htm": ".html", ".xhtml": ".html", ".tei": ".xml"}
_ITS_NAME = (".rst", ".org", ".ipynb", ".tex", ".adoc", ".asciidoc")
_TELLING = frozenset({".html", ".eml", ".mbox", ".xml"})


class WrongFormatError(Exception):
    """A file whose name names a format that it is not of, and that cannot be told."""


def recognised(name: str, head: bytes) -> tuple[str, str]:
    """Return the format and the compression of a file that begins with `head`.

    Raises ValueError for a name of no known format, WrongFormatError for a file that has nothing of its format.
    """
    named = format_of(name)
    if named is None:
        raise ValueError(f"{name} is of no known format")
    suffix, compression = named
    if compression or suffix == ".parquet" or suffix in ARCHIVES:
        return named
    if not head or (suffix not in PARSERS and not has_signature(head)):
        return named
    found = format_of_content(head, name)
    if suffix not in PARSERS or suffix in _TEXT_LIKE:
        return _of_text(named, found, head)
    if found and found[0] in (".txt", ".jsonl", ".json"):
        raise WrongFormatError(suffix)
    return found or named  # what cannot be told its parser refuses


def head_of(raw: BinaryIO) -> bytes:
    """Return the beginning of a file, and leave it there."""
    head = raw.read(HEAD_BYTES)
    raw.seek(0)
    return head


def _of_text(named: tuple[str, str], found: tuple[str, str] | None, head: bytes) -> tuple[str, str]:
    """Return the format of a file whose name names text."""
    if has_signature(head):
        if found is None:
            raise WrongFormatError(named[0])
        return found
    # A page that was saved as .xml, a mailbox as .eml; but not a text that looks like one.
    if found and found[0] in _TELLING and named[0] in PARSERS and found[0] != _ALIKE.get(named[0], named[0]):
        return found if named[0] not in _ITS_NAME else named
    return named
