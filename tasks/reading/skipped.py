"""Skipped files: what a source has and no reader reads, with its reason. No file is left out without one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

NOT_TEXT, BINARY, SPECIAL = "not-a-text-format", "binary", "special-file"
HIDDEN, HIDDEN_FOLDER, EXCLUDED, EXCLUDED_FOLDER = "hidden", "hidden-folder", "excluded", "excluded-folder"
LINKED_FOLDER, EMPTY, NOT_A_PAGE = "linked-folder", "empty", "not-a-page"

AT_FAULT = frozenset({NOT_TEXT, BINARY, SPECIAL})
"""Reasons that `--strict` heeds. What the user hid or excluded is no fault, and with a linked folder that is entered
elsewhere, or leads to a parent, with a file that is empty and with what is no page of the web, nothing is lost."""

WITHOUT_TEXT = frozenset({NOT_TEXT, BINARY, EMPTY})
"""Reasons that are found in the content: the file is there, and may have had documents."""

_LONGEST_EXTENSION = 16


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not read, or a folder that is not entered, which counts as one; its address then ends in `/`.

    Reasons: `not-a-text-format` by its name or its content, `binary` (no suffix, and no text in it), `empty` (the
    same, with nothing in it), `not-a-page` (an error or a redirect in a web archive), `special-file` (a pipe, a
    socket, a device), `hidden`, `excluded`, and of folders `hidden-folder`, `excluded-folder` and `linked-folder`
    (entered elsewhere, or above its source).
    """

    uri: str
    reason: str


def extension_of(uri: str) -> str:
    """Return the extension of a file in lower case, `.tar.gz` for two with a compression; empty for none or a folder.

    What is longer than 16 characters, or has other characters than letters, digits, - and _, is not an extension.
    """
    name = unquote(uri.rpartition("/")[2]).lower()
    stem, dot, last = name.rpartition(".")
    if not stem.strip(".") or not _is_extension(last):
        return ""
    inner = stem.rpartition(".")
    if last in ("gz", "zst", "bz2", "xz") and inner[0].strip(".") and _is_extension(inner[2]):
        last = f"{inner[2]}.{last}"
    return dot + last


def place_of(uri: str) -> str:
    """Return the address of the folder or archive that a file or folder is in, with `/` or `!/` at its end."""
    archive, within, _ = uri.partition("!/")
    return archive + within if within else archive.rstrip("/").rpartition("/")[0] + "/"


def _is_extension(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_EXTENSION and text.replace("-", "").replace("_", "").isalnum()
