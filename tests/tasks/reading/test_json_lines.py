"""JSON Lines: which become documents, and which are rejected with which code."""

from __future__ import annotations

import bz2
import gzip
import json
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.reading.sources import shields
from tests.read_records import codes, documents, read, rejects


def test_a_json_line_becomes_a_document_and_its_other_fields_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    (document,) = read(
        path, b'{"z": [1, null], "title": "T", "text": "some text", "id": 12, "a": {"c": 1, "b": "\xc3\xbc"}}'
    )
    assert document == Document("12", path.as_uri(), "some text", "line 1", "T", '{"a":{"b":"ü","c":1},"z":[1,null]}')


def test_a_record_without_an_id_is_named_by_its_position(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    found = read(path, b'{"text": "one"}\r\n\r\n{"text": "two"}')
    assert [(d.doc_id, d.locator) for d in documents(found)] == [
        (f"{path.as_uri()}#1", "line 1"),
        (f"{path.as_uri()}#3", "line 3"),
    ]


@pytest.mark.parametrize(
    ("line", "code", "doc_id"),
    [
        (b'{"text": "half', "bad-json", None),
        (b'{"text": NaN}', "bad-json", None),
        (b"[" * 5000, "bad-json", None),
        (b'{"id": "d", "text": "x", "deep": ' + b"[" * 300 + b"]" * 300 + b"}", "bad-json", "d"),
        (b'["a list"]', "not-an-object", None),
        (b'"text"', "not-an-object", None),
        (b'{"id": "d", "text": "caf\xe9"}', "invalid-utf8", None),
        (b'{"id": "d", "body": "x"}', "missing-field", "d"),
        (b'{"id": "d", "text": null}', "empty-text", "d"),
        (b'{"id": "d", "text": " \\n\\u200b"}', "empty-text", "d"),
        (b'{"id": "d", "text": 5}', "wrong-type", "d"),
        (b'{"id": "d", "text": ["x"]}', "wrong-type", "d"),
        (b'{"id": "d", "text": ' + b"[" * 1000 + b"]" * 1000 + b"}", "wrong-type", "d"),
        (b'{"id": "d", "text": "' + b"x" * 500 + b'"}', "document-too-large", "d"),
        (b'{"id": "d", "text": "' + b"x" * 5000 + b'"}', "line-too-long", None),
        (b'{"id": "", "text": "x"}', "bad-id", None),
        (b'{"id": null, "text": "x"}', "bad-id", None),
        (b'{"id": true, "text": "x"}', "bad-id", None),
        (b'{"id": 1.5, "text": "x"}', "bad-id", None),
        (b'{"id": "a\\u0000b", "text": "x"}', "bad-id", None),
        (b'{"id": "' + b"x" * 1025 + b'", "text": "x"}', "bad-id", None),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason_and_the_rest_is_read(
    tmp_path: Path, line: bytes, code: str, doc_id: str | None
) -> None:
    content = b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n'
    found = read(tmp_path / "a.jsonl", content, max_document_bytes=400, max_line_bytes=5000)
    assert [d.text for d in documents(found)] == ["before", "after"]
    (reject,) = rejects(found)
    assert (reject.locator, reject.code, reject.doc_id) == ("line 2", code, doc_id)
    assert len(reject.excerpt) <= 80
    assert reject.message


def test_the_reject_for_a_missing_text_field_names_the_fields_of_the_record(tmp_path: Path) -> None:
    found = read(tmp_path / "a.jsonl", b'{"id": 1, "body": "x"}\n{"id": 2, "content": "x"}\n')
    assert codes(found) == [("line 1", "missing-field"), ("line 2", "missing-field")]
    assert '"body"' in rejects(found)[0].message
    assert "--text-field" in rejects(found)[0].message
    assert len(documents(read(tmp_path / "a.jsonl", text_field="body"))) == 1


def test_the_fields_are_those_of_the_options(tmp_path: Path) -> None:
    line = b'{"id": "no", "key": "k", "head": "H", "body": "B", "text": "other", "title": "t"}'
    (document,) = documents(read(tmp_path / "a.jsonl", line, text_field="body", id_field="key", title_field="head"))
    assert (document.doc_id, document.title, document.text) == ("k", "H", "B")
    assert json.loads(document.metadata) == {"id": "no", "text": "other", "title": "t"}


def test_doc_id_has_precedence_over_id_and_a_missing_id_field_is_a_bad_id(tmp_path: Path) -> None:
    line = b'{"id": "b", "doc_id": "a", "text": "x"}'
    assert [d.doc_id for d in documents(read(tmp_path / "a.jsonl", line))] == ["a"]
    assert codes(read(tmp_path / "a.jsonl", id_field="key")) == [("line 1", "bad-id")]


def test_half_a_surrogate_pair_in_json_becomes_a_replacement_character(tmp_path: Path) -> None:
    line = rb'{"text": "cut \ud83d here, \ud83d\ude00 whole, \\ud83d spelled", "k\udc00": "v\ud800"}'
    (document,) = documents(read(tmp_path / "a.jsonl", line))
    assert document.text == "cut \ufffd here, \U0001f600 whole, \\ud83d spelled"
    assert json.loads(document.metadata) == {"k\ufffd": "v\ufffd"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_lines_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    found = read(tmp_path / "a.jsonl", '{"text": "ü"}\n{"text": "世"}\n'.encode(encoding))
    assert [d.text for d in documents(found)] == ["ü", "世"]


@pytest.mark.parametrize("content", [b"", b"\n  \n"])
def test_a_file_without_a_record_is_empty(tmp_path: Path, content: bytes) -> None:
    assert codes(read(tmp_path / "a.jsonl", content)) == [("", "empty-file")]


GOOD = st.fixed_dictionaries({"text": st.text(min_size=1).map(lambda t: "a" + t), "id": st.text("abc", min_size=1)})
GARBAGE = st.binary().map(lambda b: b.replace(b"\n", b"")) | st.sampled_from(
    [b"{", b"x" * 400, b'{"text": 1}', b'"', b"\xff\xfe"]
)


@given(st.lists(GOOD.map(lambda r: json.dumps(r).encode()) | GARBAGE, max_size=12))
def test_no_good_record_is_lost_whatever_garbage_is_between(lines: list[bytes]) -> None:
    def parsed(line: bytes) -> object:
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None

    good = [r for r in map(parsed, lines) if isinstance(r, dict) and str(r.get("text", "")).startswith("a")]
    with tempfile.TemporaryDirectory() as folder:
        # A good first line: garbage at the very start could be a byte order mark.
        content = b"\n".join([b'{"text": "a", "id": "first"}', *lines])
        found = read(Path(folder) / "a.jsonl", content, max_line_bytes=300 + max(map(len, lines), default=0))
    assert [d.doc_id for d in documents(found)] == ["first", *(r["id"] for r in good)]
    assert len(found) == 1 + sum(bool(line.strip()) for line in lines)


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2"])
def test_records_before_a_truncation_are_kept(tmp_path: Path, suffix: str) -> None:
    compress = {"gz": gzip.compress, "zst": zstandard.ZstdCompressor().compress, "bz2": bz2.compress}[suffix]
    parts = [b"".join(b'{"id": %d, "text": "t"}\n' % (i + 5000 * part) for i in range(5000)) for part in range(2)]
    content = compress(parts[0]) + compress(parts[1])
    found = read(tmp_path / f"a.jsonl.{suffix}", content[:-8])
    assert len(documents(found)) >= 5000
    assert [d.doc_id for d in documents(found)] == [str(i) for i in range(len(documents(found)))]
    (reject,) = rejects(found)
    assert (reject.code, reject.locator) == ("truncated", "")
    assert shields(reject, reject.uri)
