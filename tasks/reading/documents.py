"""From one raw record to a Document or a Reject. Knows fields and limits, not the file of the record.

Codes of rejected records: `missing-field`, `wrong-type`, `empty-text`, `document-too-large`, `bad-id`, `bad-json` for
metadata that JSON cannot represent, and `unforeseen` for an error in the reader itself. The readers add the codes of
their format.
"""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID

import orjson

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.normalization import excerpt, is_blank, normalise

logger = logging.getLogger(__name__)

MIB = 1 << 20
MAX_ID_CHARS = 1024
NAMED_PARTS = ("sheet", "message")
"""Parts of a file that are documents of their own: their locator is the kind and the name, as in `sheet Ports`."""
_ID_FIELDS = ("doc_id", "id")
_LINE_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_NOT_IN_AN_ID = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """The fields of a record, and limits.

    `id_field` None takes the first of `doc_id`, `id` that a record has, else its position in the file. With `presplit`
    the text is a list of sentences, each of which becomes a line of the document's text. `delimiter` and `quote` are of
    CSV and TSV: a character, `tab` and `none`, or None to find them; without `header` columns are `column_1` and on.
    `max_document_bytes` counts UTF-8 text; `max_line_bytes` one line of JSONL or one row of CSV. Parsing one file of
    PDF, Office and the like may take `parse_seconds` of processor time and `parse_mb` MiB of memory. With `checksum`
    files are read that did not change since they were read. Raises UsageError for empty names and limits below 1.
    """

    text_field: str = "text"
    id_field: str | None = None
    title_field: str = "title"
    max_document_bytes: int = 64 * MIB
    max_line_bytes: int = 64 * MIB
    presplit: bool = False
    delimiter: str | None = None
    quote: str | None = None
    header: bool = True
    parse_seconds: int = 60
    parse_mb: int = 1024
    checksum: bool = False

    def __post_init__(self) -> None:
        if not self.text_field or not self.title_field or self.id_field == "":
            raise UsageError("a field name is empty: text, id and title fields need the name of a column or key")
        if self.text_field == self.id_field:
            raise UsageError(f"field {self.text_field!r} cannot be both --text-field and --id-field; name two fields")
        for name in ("max_document_bytes", "max_line_bytes", "parse_seconds", "parse_mb"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.delimiter not in (None, "tab") and not _is_mark(self.delimiter):
            raise UsageError(f"A delimiter is one character of ASCII, or tab, but {self.delimiter!r} was given.")
        if self.quote not in (None, "none") and not _is_mark(self.quote):
            raise UsageError(f"A quote is one character of ASCII, or none, but {self.quote!r} was given.")
        if self.quote is not None and self.quote == self.delimiter:
            raise UsageError(f"{self.quote!r} cannot be both the delimiter and the quote; name two characters.")


def _is_mark(text: str | None) -> bool:
    return text is not None and len(text) == 1 and text.isascii() and text not in "\n\r\0"


@dataclass(frozen=True, slots=True)
class LongNumber:
    """A number of JSON with more digits than a machine's, as it was written."""

    written: str

    @property
    def is_integer(self) -> bool:
        return self.written.lstrip("-").isdecimal()


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a record: `locator` within the file `uri`. `key` is its `doc_id` unless a field has one."""

    uri: str
    locator: str
    key: str

    def refuse(self, code: str, message: str, *, of: str | bytes = "", doc_id: str | None = None) -> Reject:
        """Return a reject of the record here; `of` is its content, of which a printable excerpt is kept."""
        return Reject(self.uri, self.locator, "read", code, message, excerpt(of), doc_id)


def part_fragment(kind: str, name: str) -> str:
    """Return what stands behind `#` in the id of a part of a file: `sheet=Ports%202`."""
    return f"{kind}={quote(name, safe='')}"


def document_from(
    fields: dict[str, object], place: Place, options: ReadOptions, *, encoding: str | None = None
) -> Document | Reject:
    """Return a record as a document. Removes the fields it uses from `fields`; the rest becomes metadata."""
    try:
        return _document_from(fields, place, options, encoding)
    except Exception as error:
        return unforeseen(place, error)


def unforeseen(place: Place, error: Exception, *, doc_id: str | None = None) -> Reject:
    """Return the reject of input that broke its reader. The error's own message is left out: it may quote the text."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    logger.warning("%s %s: %s at %s:%s", place.uri, place.locator, type(error).__name__, at.name, at.lineno)
    kept = "the rest was read" if place.locator else "records before the error were kept"
    message = f"the reader failed with {type(error).__name__}; {kept}. Report it, with an input that shows it"
    return place.refuse("unforeseen", message, doc_id=doc_id)


def _document_from(
    fields: dict[str, object], place: Place, options: ReadOptions, encoding: str | None
) -> Document | Reject:
    title = fields.get(options.title_field)
    doc_id = _take_id(fields, place, options)
    if isinstance(doc_id, Reject):
        return doc_id
    if options.text_field not in fields:
        message = (
            f'no field "{options.text_field}": {_names(fields)}. Name the one that holds the text with --text-field'
        )
        return place.refuse("missing-field", message, doc_id=doc_id)
    value = fields.pop(options.text_field)
    if options.presplit:
        value = _lines_of(value, place, doc_id=doc_id)
    text = value if isinstance(value, Reject) else checked_text(value, place, options, doc_id=doc_id)
    if isinstance(text, Reject):
        return text
    if isinstance(title, str):
        fields.pop(options.title_field, None)
    if encoding is not None:
        fields.setdefault("encoding", encoding)
    try:
        metadata = canonical_json(fields)
    except orjson.JSONEncodeError as error:
        message = f"the fields beside the text cannot be kept as JSON ({error}): flatten or drop them"
        return place.refuse("bad-json", message, doc_id=doc_id)
    return Document(doc_id, place.uri, text, place.locator, clean_title(title), metadata)


def checked_text(value: object, place: Place, options: ReadOptions, *, doc_id: str | None) -> str | Reject:
    """Return `value` as normalised text, or the reject of a record that cannot be a document."""
    if value is None:
        return place.refuse("empty-text", "the text is null; give it a text or drop the record", doc_id=doc_id)
    if not isinstance(value, str):
        message = f"the text must be a string, this is {_kind(value)}; convert it, or name another with --text-field"
        if isinstance(value, list):
            message += ". A list of sentences is read with --presplit field"
        return place.refuse("wrong-type", message, of=_scalar(value), doc_id=doc_id)
    limit = options.max_document_bytes
    if len(value) > limit or exceeds(text := normalise(value), limit):
        return too_large(place, options, of=value, doc_id=doc_id)
    if is_blank(text):
        message = "the text has nothing to read: empty, whitespace or invisible characters only"
        return place.refuse("empty-text", message, of=text, doc_id=doc_id)
    return text


def _lines_of(value: object, place: Place, *, doc_id: str | None) -> object:
    """Return the sentences of a list as lines, their own line breaks as spaces, or the reject of what is none."""
    if value is None:
        return value
    if not isinstance(value, list):
        message = (
            f"with --presplit field the text must be a list of sentences, this is {_kind(value)}; a list of one "
            "string is one sentence. Leave the option out to have texts split, or give --presplit lines if each "
            "line is a sentence"
        )
        return place.refuse("wrong-type", message, of=_scalar(value), doc_id=doc_id)
    for at, sentence in enumerate(value, 1):
        if not isinstance(sentence, str):
            message = f"with --presplit field each item must be a string, item {at:,} is {_kind(sentence)}; convert it"
            return place.refuse("wrong-type", message, of=_scalar(sentence), doc_id=doc_id)
    return "\n".join(_LINE_BREAKS.sub(" ", sentence) for sentence in value)


def too_large(place: Place, options: ReadOptions, *, of: str | bytes, doc_id: str | None) -> Reject:
    """Return the reject of a document above the limit."""
    message = (
        f"the text is larger than {options.max_document_bytes:,} bytes of UTF-8; split it or raise --max-document-mb"
    )
    return place.refuse("document-too-large", message, of=of, doc_id=doc_id)


def exceeds(text: str, limit: int) -> bool:
    """Return whether `text` takes more than `limit` bytes of UTF-8."""
    return len(text) * 4 > limit and len(text.encode()) > limit


def clean_title(title: object) -> str | None:
    """Return a normalised title; None if it is empty or not a string."""
    return (normalise(title).strip() or None) if isinstance(title, str) else None


def canonical_json(fields: dict[str, object]) -> str:
    """Return metadata as JSON with sorted keys. Raises orjson.JSONEncodeError for what JSON cannot represent."""
    # orjson would write a LongNumber by itself, as an object with its field.
    options = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
    return orjson.dumps(fields, _plain, options).decode() if fields else "{}"


def _plain(value: object) -> object:
    if isinstance(value, LongNumber):
        return orjson.Fragment(value.written)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _take_id(fields: dict[str, object], place: Place, options: ReadOptions) -> str | Reject:
    name = options.id_field or next((n for n in _ID_FIELDS if n in fields and n != options.text_field), None)
    if name is None:
        return place.key
    if name not in fields:
        message = f'no field "{name}": {_names(fields)}. Name the one that identifies a record with --id-field'
        return place.refuse("bad-id", message)
    value = fields.pop(name)
    if isinstance(value, LongNumber) and value.is_integer and len(value.written) <= MAX_ID_CHARS:
        return value.written
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        message = f'field "{excerpt(name)}" must be a string or an integer, this is {_kind(value)}'
        return place.refuse("bad-id", message, of=_scalar(value))
    if not value.strip() or len(value) > MAX_ID_CHARS or _NOT_IN_AN_ID.search(value):
        message = f'field "{excerpt(name)}" must have 1 to {MAX_ID_CHARS:,} characters and no NUL, lone surrogate'
        return place.refuse("bad-id", f"{message} or whitespace alone; this has {len(value):,}", of=value)
    return value


def _names(fields: dict[str, object]) -> str:
    shown = ", ".join(f'"{excerpt(name, 40)}"' for name in list(fields)[:10])
    more = f" and {len(fields) - 10} more" if len(fields) > 10 else ""
    return f"this record has {shown}{more}" if fields else "this record has no other field"


def _scalar(value: object) -> str:
    # Printing a list could take as much memory as the record, or overflow the stack.
    return str(value) if isinstance(value, int | float) else ""


def _kind(value: object) -> str:
    names = {"NoneType": "null", "bool": "a boolean", "int": "a number", "float": "a number", "list": "a list",
             "str": "a string", "LongNumber": "a number"}  # fmt: skip
    return names.get(type(value).__name__, "an object" if isinstance(value, dict) else f"a {type(value).__name__}")
