"""Standard input as a source: the name under which its documents are kept, so that two inputs do not mix.

Without a name it is named by its first 64 KiB: another input has other addresses and ids and replaces nothing, while
the same input, or one to which something was appended behind them, is recognised.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import BinaryIO, cast

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import buffered, chunks_of
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import STDIN_URI, read_stdin

UNNAMED_STDIN = re.compile(r"stdin:(sha256-[0-9a-f]{16})?")
"""The addresses of standard input without a name, in this release and earlier ones."""
_NAME = re.compile(r"(?!sha256-)[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEAD_BYTES = 1 << 16


def check_stdin_name(name: str | None, specs: Sequence[str]) -> str:
    """Return a name chosen by a user, empty for none. Raises UsageError if it is malformed or nothing has it."""
    if name is None:
        return ""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--stdin-name is up to 100 letters, digits, dots, hyphens and underscores, got {name!r}. Choose another."
        )
    if "-" not in specs:
        raise UsageError("--stdin-name names standard input, which is not among the sources. Add - to them.")
    return name


def read_named_stdin(stdin: BinaryIO, options: ReadOptions, *, name: str = "") -> Iterator[Document | Reject]:
    """Yield the documents and rejects of standard input, at the address `stdin:NAME`."""
    blocks = chunks_of(stdin)
    head, failure = _head(blocks) if not name else (b"", None)
    uri = STDIN_URI + (name or f"sha256-{hashlib.sha256(head[:_HEAD_BYTES]).hexdigest()[:16]}")
    stream = buffered(chain([head] if head else [], _rest(blocks, failure)))
    for item in read_stdin(cast("BinaryIO", stream), options):
        yield _at(uri, item)


def _head(blocks: Iterator[bytes]) -> tuple[bytes, OSError | None]:
    """Return at least the bytes that name an input, or all that came before its end or an error."""
    head = bytearray()
    try:
        while len(head) < _HEAD_BYTES and (block := next(blocks, b"")):
            head += block
    except OSError as error:
        return bytes(head), error
    return bytes(head), None


def _rest(blocks: Iterator[bytes], failure: OSError | None) -> Iterator[bytes]:
    if failure is not None:
        raise failure
    yield from blocks


def _at(uri: str, item: Document | Reject) -> Document | Reject:
    number = item.locator.rpartition(" ")[2]
    derived = (STDIN_URI, f"{STDIN_URI}#{number}")
    doc_id = item.doc_id
    if doc_id is not None and doc_id in derived:
        doc_id = uri + doc_id.removeprefix(STDIN_URI)
    return replace(item, uri=uri, doc_id=doc_id)  # type: ignore[arg-type]
