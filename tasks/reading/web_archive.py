"""Web archives: WARC files and the WET files made of them. One document a page that a server gave, or a text of one.

Pages are parsed as HTML files are, in processes with limits, a few ahead of their turn. What is no text (pictures,
scripts) and what is no page (errors, redirects) is counted. `url`, `date`, `record_id` and the type of the content are
`metadata`.
"""

from __future__ import annotations

import io
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import BLOCK
from polyseme.tasks.reading.documents import (
    Place,
    ReadOptions,
    canonical_json,
    checked_text,
    clean_title,
    too_large,
    unforeseen,
)
from polyseme.tasks.reading.formats import missing_package
from polyseme.tasks.reading.parsing.answers import Answers, missing_extra, request_for
from polyseme.tasks.reading.parsing.html import decoded
from polyseme.tasks.reading.parsing.parsed import RefusedError
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.skipped import NOT_A_PAGE, NOT_TEXT, Skipped

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

_FORMATS = {
    "text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "application/msword": ".doc",
    "application/rtf": ".rtf", "text/rtf": ".rtf", "application/epub+zip": ".epub", "text/plain": ".txt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
}  # fmt: skip
"""The formats of one text by the type that a server gives. Workbooks are several texts, and are not read."""
_AHEAD_PER_WORKER = 4
_MOST_DIGITS = 19
_PLAIN = ("", "identity", "none")
_GZIP = 16 + zlib.MAX_WBITS
_MARK = b"\xef\xbb\xbf"
_RECORD = b"WARC/"


@dataclass(frozen=True, slots=True)
class _Page:
    """A record with a text: what is known of it, and its text or what will be the answers of its parser."""

    place: Place
    metadata: dict[str, Any]
    text: str = ""
    answers: Answers | None = None


def read_web_archive(
    stream: io.BufferedReader, uri: str, options: ReadOptions, *, parsers: Parsers | None
) -> Iterator[Document | Reject | Skipped]:
    """Yield the pages of a web archive as documents or rejects, and what is none."""
    if parsers is None:
        with Parsers() as own:
            yield from read_web_archive(stream, uri, options, parsers=own)
        return
    waiting: deque[_Page | Reject | Skipped] = deque()
    records, number, failure = _records(_Segments(stream), options.parse_mb << 20), 0, None
    while True:
        try:
            record = next(records, None)
        except Exception as error:  # raised once what came before it is yielded
            record, failure = None, error
        if record is None:
            break
        number += 1
        place = Place(uri, f"record {number}", f"{uri}#{number}")
        waiting.append(_begun(record, place, options, parsers))
        while len(waiting) > _AHEAD_PER_WORKER * parsers.size or not isinstance(waiting[0], _Page):
            yield _ended(waiting.popleft(), options)
            if not waiting:
                break
    while waiting:
        yield _ended(waiting.popleft(), options)
    if failure is not None:
        raise failure
    if not number:
        message = "no page in it: no record of type response, resource or conversion"
        yield Place(uri, "", uri).refuse("empty-file", message)


class _Segments:
    """A stream in segments, each of which ends before a block of the stream that begins with a record.

    Blocks end where frames of a compressed file do, and each record should have one: if it ends early, it takes nothing
    of the next. All ends where the stream cannot be read any further, so that what is before is; `failure` says why.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._given = self._next = b""
        self._has_begun = False
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the segment, as many as there are without another look; none at its end."""
        if self._next:
            return b""
        if self._given:
            size = len(self._given) if size < 0 else size
            block, self._given = self._given[:size], self._given[size:]
            return block
        block = self._block(size)
        if self._has_begun and block.startswith(_RECORD):
            self._next = block
            return b""
        self._has_begun = self._has_begun or bool(block)
        return block

    def advance(self) -> bool:
        """Leave the rest of the segment, and go to the next one; return whether there is one."""
        while self.read(BLOCK):
            pass
        self._given, self._next = self._next, b""
        return bool(self._given)

    def tell(self) -> int:
        """Return how much was read."""
        return self._stream.tell()

    def _block(self, size: int) -> bytes:
        if self.failure is not None:
            return b""
        try:
            return self._stream.read1(size)
        except Exception as error:
            self.failure = error
            return b""


def _records(source: _Segments, limit: int) -> Iterator[WarcRecord]:
    """Yield the records with a page; what is in one of up to `limit` bytes is in memory.

    Raises at the end what was first wrong with a segment, or else with the stream.
    """
    failure: Exception | None = None
    while True:
        try:
            yield from _records_of_segment(source, limit)
        except Exception as error:
            failure = failure or error
        if not source.advance():
            break
    if failure := failure or source.failure:
        raise failure


def _records_of_segment(segment: _Segments, limit: int) -> Iterator[WarcRecord]:
    """Yield each record once the next one is found: the iterator goes on from the content of a record, and would end at
    one that is not coded as it says.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    kinds = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
    # What is compressed was expanded before, within limits.
    stream = cast("BinaryIO", segment)
    found = ArchiveIterator(stream, record_types=kinds, parse_http=False, stream_detect=False, auto_decode="none")
    held: WarcRecord | None = None
    try:
        for record in found:
            if record.content_length <= limit:
                record.freeze()
            if held is not None:
                yield held
            held = record
    except Exception:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


def _begun(record: WarcRecord, place: Place, options: ReadOptions, parsers: Parsers) -> _Page | Reject | Skipped:
    """Return a record, its parser started if it needs one."""
    written = (record.headers.get("Content-Length") or "").strip(" \t")
    if not (written.isascii() and written.isdigit() and len(written) < _MOST_DIGITS):
        return place.refuse("truncated", "the header ends early or has no length; copy the file again")
    if record.content_length > options.parse_mb << 20:
        return place.refuse("document-too-large", f"a record of {record.content_length:,} bytes; raise --parse-mb")
    if record.content_length < int(written):
        return place.refuse("truncated", "the record ends early; copy the file again")
    try:
        return _opened(record, place, options, parsers)
    except (OSError, ValueError, zlib.error) as error:  # of this record alone, which is in memory
        message = f"damaged ({str(error)[:120]}); fetch the page again"
        return place.refuse("corrupt", message, doc_id=place.key)


def _opened(record: WarcRecord, place: Place, options: ReadOptions, parsers: Parsers) -> _Page | Reject | Skipped:
    """Return the page of a record that is whole. Raises OSError, ValueError and zlib.error if not coded as it says."""
    url, limit = record.headers.get("WARC-Target-URI") or "", options.parse_mb << 20
    kind = record.headers.get("Content-Type") or ""
    if record.is_http:
        record.parse_http(auto_decode="none")
        status = record.http_headers.status_code if record.http_headers is not None else None
        if status != 200:
            return Skipped(_address(place, url), NOT_A_PAGE)
        kind = record.http_content_type or ""
    suffix = _FORMATS.get(kind.partition(";")[0].strip().lower())
    if suffix is None:
        return Skipped(_address(place, url), NOT_TEXT)
    content = _decoded(record, limit + 1)
    if len(content) > limit:
        return place.refuse("document-too-large", f"its content is larger than {limit:,} bytes; raise --parse-mb")
    metadata = {
        "url": url, "date": record.headers.get("WARC-Date"), "record_id": record.record_id, "content_type": kind,
    }  # fmt: skip
    page = _Page(place, {name: value for name, value in metadata.items() if value})
    if suffix == ".txt":
        return replace(page, text=decoded(content, record.http_charset))
    if package := missing_package(suffix):
        return missing_extra(place, suffix, package)
    if suffix == ".html":  # what the server says of the characters is not in the page
        content = _MARK + decoded(content, record.http_charset).encode()
    return replace(page, answers=parsers.submit(request_for(suffix, options, data=content)))


def _decoded(record: WarcRecord, most: int) -> bytes:
    """Return up to `most` bytes of the content, expanded: fastwarc's own decoding expands all of it in memory.

    Raises OSError, ValueError and zlib.error for what is not coded as it says.
    """
    from fastwarc.stream_io import BrotliReader, ChunkedReader, ZstdReader

    headers = record.http_headers if record.is_http else None
    transfer, coding = (
        ((headers.get(name) if headers is not None else None) or "").strip().lower()
        for name in ("Transfer-Encoding", "Content-Encoding")
    )
    data = bytes(record.reader.read())
    if transfer == "chunked":
        data = bytes(ChunkedReader(io.BytesIO(data)).read())
    elif transfer not in _PLAIN:
        raise ValueError(f"the transfer coding {transfer[:40]!r} is not read")
    if coding in _PLAIN:
        return data[:most]
    if coding in ("gzip", "x-gzip"):
        return zlib.decompressobj(_GZIP).decompress(data, most)
    if coding == "deflate":
        try:
            return zlib.decompressobj().decompress(data, most)
        except zlib.error:  # as some servers send it, without a header
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    if coding not in ("br", "zstd"):
        raise ValueError(f"the content coding {coding[:40]!r} is not read")
    reader = BrotliReader(io.BytesIO(data)) if coding == "br" else ZstdReader(io.BytesIO(data))
    found = bytearray()
    while len(found) < most and (block := reader.read(BLOCK)):
        found += block
    return bytes(found[:most])


def _ended(page: _Page | Reject | Skipped, options: ReadOptions) -> Document | Reject | Skipped:
    """Return the document of a page."""
    if not isinstance(page, _Page):
        return page
    place, title = page.place, None
    text, metadata = page.text, page.metadata
    if page.answers is not None:
        try:
            answer = page.answers.result()[-1]
        except Exception as error:
            return unforeseen(place, error, doc_id=place.key)
        if isinstance(answer, RefusedError):
            return place.refuse(answer.code, answer.message, doc_id=place.key)
        text, title, metadata = answer.text, answer.title, {**answer.metadata, **metadata}
    if len(text) > options.max_document_bytes:
        return too_large(place, options, of=text[:400], doc_id=place.key)
    checked = checked_text(text, place, options, doc_id=place.key)
    if isinstance(checked, Reject):
        return checked
    return Document(place.key, place.uri, checked, place.locator, clean_title(title), canonical_json(metadata))


def _address(place: Place, url: str) -> str:
    """Return an address of a record that is not read: within the file, with the name that it has on the web."""
    return f"{place.uri}!/{quote(url.partition('?')[0], safe='/')}" if url else f"{place.uri}!/{place.locator[7:]}"
