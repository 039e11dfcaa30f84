"""The records of a JSON file that is one value: an array of objects, a JSON Feed, or one object.

Many programs call JSON lines `.json`: a first line that is an object is read as such. An object without a text is no
document, but the settings of some program, and is skipped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress

import orjson

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import pushed_back
from polyseme.tasks.reading.content import HEAD_BYTES, format_of_content
from polyseme.tasks.reading.documents import MIB, Place, ReadOptions, document_from
from polyseme.tasks.reading.json_lines import loads, not_json, read_jsonl
from polyseme.tasks.reading.skipped import NOT_TEXT, Skipped

MOST_BYTES = 256 * MIB
"""A value is in memory as a whole, which takes several times its size."""
_FEED = "https://jsonfeed.org/version/"


def read_json(stream: io.BufferedReader, uri: str, options: ReadOptions) -> Iterator[Document | Reject | Skipped]:
    """Yield the records of a JSON file as documents or rejects; the file itself if it is something else."""
    head = stream.read(HEAD_BYTES)
    whole = Place(uri, "", uri)
    if format_of_content(head) == (".jsonl", "") and (len(head) == HEAD_BYTES or _has_lines(head)):
        yield from read_jsonl(pushed_back(head, stream), uri, options)
        return
    data = head + stream.read(max(0, MOST_BYTES + 1 - len(head)))
    if not data.strip():
        yield whole.refuse("empty-file", "nothing in it; write a JSON value or remove it")
        return
    if len(data) > MOST_BYTES:
        message = f"a JSON value of more than {MOST_BYTES:,} bytes; write its records as JSON lines, one a line"
        yield whole.refuse("document-too-large", message, of=data[:400])
        return
    try:
        value = loads(data)
    except orjson.JSONDecodeError as error:
        if data.lstrip().startswith(b"{") and _has_lines(data):
            yield from read_jsonl(pushed_back(data, stream), uri, options)
        else:
            yield not_json(error, data, whole, "write one JSON value")
        return
    yield from _read_value(value, whole, options)


def _has_lines(data: bytes) -> bool:
    """Return whether there is a line below the first whole object."""
    line, _, rest = data.strip().partition(b"\n")
    with suppress(orjson.JSONDecodeError):
        return bool(rest) and isinstance(loads(line), dict)
    return False


def _read_value(value: object, whole: Place, options: ReadOptions) -> Iterator[Document | Reject | Skipped]:
    records = value
    if isinstance(value, dict):
        if not str(value.get("version", "")).startswith(_FEED):
            is_record = options.text_field in value
            yield document_from(value, whole, options) if is_record else Skipped(whole.uri, NOT_TEXT)
            return
        records = value.get("items")
    if not isinstance(records, list) or not any(isinstance(record, dict) for record in records):
        yield Skipped(whole.uri, NOT_TEXT)
        return
    for number, record in enumerate(records, 1):
        place = Place(whole.uri, f"record {number}", f"{whole.uri}#{number}")
        if not isinstance(record, dict):
            message = f"expected a JSON object with the text in a field, this is a JSON {type(record).__name__}"
            yield place.refuse("not-an-object", message)
            continue
        if isinstance(value, dict) and options.text_field not in record and "content_text" in record:
            record[options.text_field] = record.pop("content_text")
        yield document_from(record, place, options)
