"""A text as one document: its encoding, and of Markdown its front matter and its title. Knows no other format."""

from __future__ import annotations

import io

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.charset import sniff
from polyseme.tasks.reading.documents import Place, ReadOptions, canonical_json, checked_text, clean_title, too_large
from polyseme.tasks.reading.formats import format_of
from polyseme.tasks.reading.front_matter import split_front_matter
from polyseme.tasks.reading.markdown_text import first_heading


def read_text(
    stream: io.BufferedReader, declared: str | None, uri: str, options: ReadOptions, *, name: str | None
) -> Document | Reject:
    """Return the text in a stream, of a file of this `name`, in the encoding that its first bytes `declared`."""
    place = Place(uri, "", uri)
    data = stream.read(options.max_document_bytes + 1)
    if not data:
        return place.refuse("empty-file", "nothing in it; write a text or remove it", doc_id=uri)
    if len(data) > options.max_document_bytes:
        return too_large(place, options, of=data[:400], doc_id=uri)
    encoding = "utf-8" if declared else sniff(data, complete=True)
    try:
        decoded = data.decode(encoding) if encoding else None
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            message = f"invalid {declared or 'UTF-8'} at byte {error.start:,} ({error.reason}); repair or convert it"
            return place.refuse("invalid-utf8", message, of=data[:400], doc_id=uri)
        decoded = None
    if decoded is None:
        message = "neither UTF-8 nor an encoding that can be detected from its bytes; convert it to UTF-8"
        return place.refuse("undecodable", message, of=data[:400], doc_id=uri)
    return _document(decoded, place, options, name=name, encoding=declared or encoding or "")


def _document(
    decoded: str, place: Place, options: ReadOptions, *, name: str | None, encoding: str
) -> Document | Reject:
    suffix, compression = (format_of(name) if name else None) or ("", "")
    fields, decoded = split_front_matter(decoded) if suffix == ".md" else ({}, decoded)
    text = checked_text(decoded, place, options, doc_id=place.uri)
    if isinstance(text, Reject):
        return text
    stated = fields.get(options.title_field)
    title = clean_title(fields.pop(options.title_field)) if isinstance(stated, str) else None
    if name is not None and title is None:
        stem = name[: len(name) - len(suffix) - len(compression)]
        title = (first_heading(text) if suffix == ".md" else None) or clean_title(stem)
    if encoding != "utf-8":
        fields.setdefault("encoding", encoding)
    return Document(place.uri, place.uri, text, title=title, metadata=canonical_json(fields))
