"""JSON files that are one value: an array of records, a JSON Feed, one record, or no text at all."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading import json_file
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.skipped import NOT_TEXT, Skipped

FEED = {
    "version": "https://jsonfeed.org/version/1.1", "title": "News of the harbour",
    "items": [{"id": "7", "content_text": "The ferry left.", "title": "Ferry"}, {"id": "8", "content_html": "<p>x"}],
}  # fmt: skip


def read(folder: Path, content: bytes | object, **options: str) -> list[Document | Reject | Skipped]:
    path = folder / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return list(read_file(path, "file:///a.json", ReadOptions(**options)))  # type: ignore[arg-type]


def test_each_object_of_an_array_is_a_document(tmp_path: Path) -> None:
    found = read(tmp_path, [{"id": "x", "text": "One.", "year": 1912}, {"text": "Two."}, {"body": "Three."}, 4])
    assert [getattr(item, "text", None) for item in found] == ["One.", "Two.", None, None]
    assert [getattr(item, "code", None) for item in found] == [None, None, "missing-field", "not-an-object"]
    one, two, three, _ = found
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert isinstance(three, Reject)
    assert (one.doc_id, one.metadata) == ("x", '{"year":1912}')
    assert (two.doc_id, two.locator, three.locator) == ("file:///a.json#2", "record 2", "record 3")


def test_json_lines_by_the_name_json_are_json_lines(tmp_path: Path) -> None:
    one, two = read(tmp_path, b'{"text": "One."}\n{"text": "Two."}\n')
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.text, two.doc_id, two.locator) == ("One.", "file:///a.json#2", "line 2")


def test_an_object_with_a_text_is_a_document_by_the_address_of_the_file(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"body": "One.", "title": "First"}, text_field="body")
    assert isinstance(found, Document)
    assert (found.doc_id, found.title, found.text) == ("file:///a.json", "First", "One.")


def test_the_items_of_a_json_feed_are_documents(tmp_path: Path) -> None:
    ferry, html = read(tmp_path, FEED)
    assert isinstance(ferry, Document)
    assert (ferry.doc_id, ferry.title, ferry.text) == ("7", "Ferry", "The ferry left.")
    assert isinstance(html, Reject)
    assert (html.code, html.locator) == ("missing-field", "record 2")


def test_json_lines_are_known_by_a_long_first_line_too(tmp_path: Path) -> None:
    one, two = read(tmp_path, b'{"text": "%s"}\n\n{"text": "Two."}' % (b"long " * 20_000))
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.locator, two.locator) == ("line 1", "line 3")


@pytest.mark.parametrize(
    "content",
    [{"strict": True, "items": [{"text": "x"}]}, [], [1, "a"], "text", 7, None, {}, b'{"strict": true}\n'],
    ids=str,
)
def test_what_has_no_text_is_skipped(tmp_path: Path, content: object) -> None:
    assert read(tmp_path, content) == [Skipped("file:///a.json", NOT_TEXT)]


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "empty-file", "write a JSON value"),
        (b" \n", "empty-file", "write a JSON value"),
        (b'[\n {"text": "One."},\n {"text" "Two."}]', "bad-json", "line 3, column"),
        (b'[\n {"text": "One\xff"}]', "invalid-utf8", "byte 16 of the file"),
        (b"[" * 100_000, "bad-json", "not JSON"),
    ],
)
def test_what_is_no_json_is_one_reject(tmp_path: Path, content: bytes, code: str, message: str) -> None:
    (found,) = read(tmp_path, content)
    assert isinstance(found, Reject)
    assert found.code == code
    assert message in found.message
    assert found.locator == ""


def test_a_value_that_is_too_large_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "MOST_BYTES", 20)
    (found,) = read(tmp_path, [{"text": "A sentence that is too long."}])
    assert isinstance(found, Reject)
    assert found.code == "document-too-large"
    assert "JSON lines" in found.message


def test_numbers_beyond_64_bits_keep_their_digits(tmp_path: Path) -> None:
    one, two = read(
        tmp_path, b'[\n{"id": 123456789012345678901, "text": "One."}, {"text": "Two.", "n": 0.1234567890123456789}]'
    )
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert one.doc_id == "123456789012345678901"
    assert two.metadata == '{"n":0.1234567890123456789}'


def test_a_compressed_array_is_read(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b'[\n{"text": "One."}]'))
    (found,) = read_file(path, path.as_uri(), ReadOptions())
    assert isinstance(found, Document)
