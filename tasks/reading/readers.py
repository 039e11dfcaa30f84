"""The records of one file, in order, whatever its format. Knows no folders and no other file.

Codes of rejected files (with an empty locator): `empty-file`, `unreadable` (an error of the operating system),
`truncated` (the compressed stream ends early), `decompression-bomb` (it expands beyond the limit), `corrupt`,
`undecodable`, `unforeseen` (an error in the reader itself), `wrong-format` (it is not what its name says) and those of
`parsing.answers`. Records before the error were yielded.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.archives import Archive, ArchiveLimitError, Member, read_archive
from polyseme.tasks.reading.byte_streams import (
    BLOCK,
    ExpansionError,
    buffered,
    chunks_of,
    inflated,
    pushed_back,
)
from polyseme.tasks.reading.charset import take_mark
from polyseme.tasks.reading.content import HEAD_BYTES, format_of_content
from polyseme.tasks.reading.delimited import read_delimited
from polyseme.tasks.reading.documents import (
    Place,
    ReadOptions,
    unforeseen,
)
from polyseme.tasks.reading.formats import (
    ARCHIVES,
    PARSERS,
    SUFFIXES,
    WEB_ARCHIVES,
    WHOLE_FILE,
    format_of,
    may_be_read,
    missing_package,
)
from polyseme.tasks.reading.json_file import read_json
from polyseme.tasks.reading.json_lines import read_jsonl
from polyseme.tasks.reading.parquet import read_parquet
from polyseme.tasks.reading.parsing.answers import Answers, missing_extra, read_parsed, request_for
from polyseme.tasks.reading.parsing.parsed import ParseRequest
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.recognition import WrongFormatError, head_of, recognised
from polyseme.tasks.reading.regular_files import NotAFileError, open_file
from polyseme.tasks.reading.skipped import BINARY, EMPTY, NOT_TEXT, Skipped
from polyseme.tasks.reading.text_file import read_text

STDIN_URI = "stdin:"

_FAILURES = (
    OSError,
    EOFError,
    ExpansionError,
    UnicodeDecodeError,
    zlib.error,
    pa.ArrowException,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,  # a compression that Python's zipfile lacks
)


Items = Iterator[Document | Reject | Skipped]


def read_file(
    path: Path, uri: str, options: ReadOptions, *, parsers: Parsers | None = None, answers: Answers | None = None
) -> Items:
    """Yield the documents and rejects of one file, as `read_opened` does.

    Raises ValueError for an unknown suffix.
    """
    if not may_be_read(path.name):
        raise ValueError(f"{path} is of no known format")
    return read_opened(lambda: open_file(path), path.name, uri, options, path=path, parsers=parsers, answers=answers)


def read_opened(
    opened: Callable[[], BinaryIO],
    name: str,
    uri: str,
    options: ReadOptions,
    *,
    path: Path | None = None,
    parsers: Parsers | None = None,
    answers: Answers | None = None,
) -> Items:
    """Yield the documents and rejects of what `opened` returns, which can be read from any place.

    Errors in it, or of opening it, are rejects. A file that has to be parsed is given to `parsers`, by its `path` if it
    has one, or was already and has `answers`. Of an archive, members that are not read are yielded too. What has a
    `name` without a suffix is read as what it begins like, or skipped if that is no format to read.
    """
    named = format_of(name)
    suffix = named[0] if named else ""
    try:
        with opened() as raw:
            head = head_of(raw)
            known = recognised(name, head) if named else format_of_content(head, name)
            if known is None or known[0] not in SUFFIXES:
                yield _not_read(uri, head, known)
                return
            suffix, compression = known
            if suffix in ARCHIVES:
                yield from read_archive(suffix, compression, raw, uri, partial(_read_member, options, parsers))
            elif suffix == ".parquet":
                yield from read_parquet(raw, uri, options)
            elif suffix in PARSERS and path is not None and not compression:
                yield from read_parsed(suffix, name, path, uri, options, parsers=parsers, answers=answers)
            else:
                stream = inflated(raw, compression)
                yield from _read_stream(stream, suffix, name, uri, options, parsers=parsers, answers=answers)
    except Exception as error:
        yield _file_refused(uri, error, doc_id=uri if suffix in WHOLE_FILE else None)


def is_parsed(name: str) -> bool:
    """Return whether a file of this name is given to a parser. Others turn out to be when they are read."""
    named = format_of(name)
    return named is not None and named[0] in PARSERS and not named[1]


def start_parsing(path: Path, options: ReadOptions, parsers: Parsers, *, most_bytes: int) -> tuple[Answers | None, int]:
    """Start to parse a file; return what will be its answers, None if it is read otherwise, and its size in bytes."""
    # Whatever is wrong with the file is found again, and reported, when it is read.
    with suppress(OSError, WrongFormatError), open_file(path) as raw:
        suffix, compression = recognised(path.name, head_of(raw))
        size = raw.seek(0, io.SEEK_END)
        if suffix in PARSERS and not compression and missing_package(suffix) is None and 0 < size <= most_bytes:
            return parsers.submit(request_for(suffix, options, path=path)), size
    return None, 0


def request_to_parse(name: str, data: bytes, options: ReadOptions) -> ParseRequest:
    """Return the request to parse a file of this content. Raises WrongFormatError for one that is read otherwise."""
    suffix, compression = recognised(name, data[:HEAD_BYTES])
    if suffix not in PARSERS or compression or missing_package(suffix) is not None:
        raise WrongFormatError(suffix)
    return request_for(suffix, options, data=data)


def _read_member(options: ReadOptions, parsers: Parsers | None, member: Member, uri: str, archive: Archive) -> Items:
    """Yield what is in one member of an archive, which can be read once, from its beginning."""
    name = Path(member.name).name
    named = format_of(name)
    suffix = ""
    if not may_be_read(name):
        yield Skipped(uri, NOT_TEXT)
        return
    try:
        with member.open() as opened:
            stream = archive.counted(opened)
            head = stream.read(HEAD_BYTES)
            known = recognised(name, head) if named else format_of_content(head)
            if known is None or known[0] not in SUFFIXES:
                yield _not_read(uri, head, known)
                return
            suffix, compression = known
            stream = pushed_back(head, stream)
            if suffix in ARCHIVES:
                yield from archive.nested(suffix, compression, stream, uri)
            elif suffix == ".parquet":
                with archive.spooled(stream) as raw:
                    yield from read_parquet(raw, uri, options)
            else:
                plain = inflated(cast("BinaryIO", stream), compression)
                yield from _read_stream(plain, suffix, name, uri, options, parsers=parsers)
    except ArchiveLimitError:
        raise
    except Exception as error:
        yield _file_refused(uri, error, doc_id=uri if suffix in WHOLE_FILE else None)


def _not_read(uri: str, head: bytes, known: tuple[str, str] | None) -> Skipped:
    return Skipped(uri, NOT_TEXT if known else BINARY if head.strip() else EMPTY)


def _read_stream(
    raw: io.BufferedReader,
    suffix: str,
    name: str,
    uri: str,
    options: ReadOptions,
    *,
    parsers: Parsers | None,
    answers: Answers | None = None,
) -> Items:
    """Yield what is in a stream of a format that is read from its beginning to its end."""
    if suffix in WEB_ARCHIVES:
        yield from _read_web_archive(raw, suffix, uri, options, parsers)
        return
    if suffix in PARSERS:
        yield from read_parsed(suffix, name, raw, uri, options, parsers=parsers, answers=answers)
        return
    stream, declared = take_mark(raw)
    if suffix in WHOLE_FILE:
        yield read_text(stream, declared, uri, options, name=name)
    elif suffix in (".csv", ".tsv"):
        yield from read_delimited(stream, declared, uri, options, tabs=suffix == ".tsv")
    elif suffix in (".jsonl", ".ndjson"):
        yield from read_jsonl(stream, uri, options)
    elif suffix == ".json":
        yield from read_json(stream, uri, options)
    else:
        raise WrongFormatError(suffix)


def _read_web_archive(
    stream: io.BufferedReader, suffix: str, uri: str, options: ReadOptions, parsers: Parsers | None
) -> Items:
    if package := missing_package(suffix):
        yield missing_extra(Place(uri, "", uri), suffix, package)
    else:
        from polyseme.tasks.reading.web_archive import read_web_archive

        yield from read_web_archive(stream, uri, options, parsers=parsers)


def read_stdin(stdin: BinaryIO, options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the documents and rejects of standard input: JSONL if the first character is `{`, else one text."""
    try:
        stream, declared = take_mark(buffered(chunks_of(stdin)))
        blank, held = [], 0
        while held <= options.max_document_bytes and (block := stream.read1(BLOCK)):
            blank.append(block)
            held += len(block)
            if block.strip():
                break
        stream = pushed_back(b"".join(blank), stream)
        if blank and blank[-1].lstrip().startswith(b"{"):
            yield from read_jsonl(stream, STDIN_URI, options)
        else:
            yield read_text(stream, declared, STDIN_URI, options, name=None)
    except Exception as error:
        yield _file_refused(STDIN_URI, error, doc_id=None)


def _file_refused(uri: str, error: Exception, *, doc_id: str | None) -> Reject:
    place = Place(uri, "", uri)
    if isinstance(error, WrongFormatError):
        message = f"it is not of the format {error} that its name says; name it by what it is"
        return place.refuse("wrong-format", message, doc_id=doc_id)
    if not isinstance(error, _FAILURES):
        return unforeseen(place, error, doc_id=doc_id)
    if isinstance(error, EOFError):
        message = "the compressed file ends early; records before its end were kept, copy the file again"
        return place.refuse("truncated", message, doc_id=doc_id)
    if isinstance(error, ExpansionError):
        message = f"{error}; records before that were kept. {error.advice}"
        return place.refuse("decompression-bomb", message, doc_id=doc_id)
    if isinstance(error, UnicodeDecodeError):
        message = f"not valid {error.encoding} although its beginning is ({error.reason}); convert it to UTF-8"
        return place.refuse("undecodable", message, doc_id=doc_id)
    if isinstance(error, NotAFileError):
        return place.refuse(
            "unreadable", f"this is {error}; pipe what it gives into -, or put a file there", doc_id=doc_id
        )
    if isinstance(error, OSError) and error.errno is not None:
        message = f"cannot be read: {error.strerror}; check that it exists and its permissions, then run again"
        return place.refuse("unreadable", message, doc_id=doc_id)
    message = f"damaged ({str(error)[:120]}); records before the damage were kept, restore or rewrite the file"
    return place.refuse("corrupt", message, doc_id=doc_id)
