"""Mail: messages by the header and the text that people read; quoted text stays, attachments are named, not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from polyseme.tasks.reading.formats import missing_package, what_to_install
from polyseme.tasks.reading.parsing.html import decoded, page
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, Text, stated

_FROM = re.compile(rb"^From [^\n]*\n", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEADERS = {"from": "from", "to": "to", "cc": "cc", "date": "date", "message_id": "message-id", "reply": "in-reply-to"}
_MOST_HEADER = 10_000


def parse_eml(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield a message."""
    yield _message(data, request, None)


def parse_mbox(data: bytes, request: ParseRequest) -> Iterator[Parsed | RefusedError]:
    """Yield the messages of a mailbox, and a refusal for each without a text."""
    starts = [
        match
        for match in _FROM.finditer(data)
        if match.start() < 2 or data[match.start() - 2 : match.start()] in (b"\n\n", b"\r\n")
    ]
    if not starts or starts[0].start() != 0:
        raise RefusedError("corrupt", "no mailbox: it does not begin with a line of From; name a single message .eml")
    ends = [match.start() for match in starts[1:]] + [len(data)]
    for number, (match, end) in enumerate(zip(starts, ends, strict=True), start=1):
        message = _QUOTED_FROM.sub(rb"\1", data[match.end() : end])
        try:
            yield _message(message, request, ("message", str(number)))
        except RefusedError as refused:
            yield refused


def _message(data: bytes, request: ParseRequest, part: tuple[str, str] | None) -> Parsed:
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    text = Text(request.most_bytes)
    text.add(_body(message, request.most_bytes, part))
    found = text.joined()
    if not found:
        raise RefusedError("empty-text", "a message without a text; it may hold attachments alone", part)
    stated_ = {field: _header(message, name) for field, name in _HEADERS.items()}
    names = [name for part in _attachments(message) if (name := part.get_filename())]
    metadata = stated(**stated_, attachments=names[:1000])
    return Parsed(found, _header(message, "subject"), metadata, part)


def _body(message: EmailMessage, most: int, place: tuple[str, str] | None) -> str:
    """Return the text that a reader is shown: the plain one, else that of HTML."""
    plain = html = None
    for part in message.walk():
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if plain is None and kind == "text/plain":
            plain = _text(part)
        elif html is None and kind == "text/html":
            html = _text(part)
    if plain and plain.strip():
        return plain
    if not html:
        return ""
    if package := missing_package(".html"):
        raise RefusedError("missing-extra", what_to_install("messages that are HTML alone", package), place)
    return page(html, most)[0]


def _text(part: Any) -> str:
    data = part.get_payload(decode=True)
    charset = None
    with suppress(Exception):  # a header that is no header; what it says is not needed
        charset = part.get_content_charset()
    text = decoded(data, charset) if isinstance(data, bytes) else str(data or "")
    return text.replace("\r\n", "\n")


def _attachments(message: EmailMessage) -> Iterator[Any]:
    for part in message.walk():
        if not part.is_multipart() and part.get_content_disposition() == "attachment":
            yield part


def _header(message: EmailMessage, name: str) -> str | None:
    # The package raises half a dozen kinds of errors for headers that are damaged.
    try:
        value = message[name]
    except Exception:
        return None
    return " ".join(str(value).split())[:_MOST_HEADER] or None if value is not None else None
