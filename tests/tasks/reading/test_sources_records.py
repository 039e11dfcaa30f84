"""Records of JSONL, CSV, TSV and Parquet: which become documents, and which are rejected with which code."""

from __future__ import annotations

import bz2
import csv
import datetime as dt
import gzip
import io
import json
import re
import tempfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources, shields


def read(path: Path, content: bytes | None = None, **options: object) -> list[Document | Reject]:
    if content is not None:
        path.write_bytes(content)
    return list(read_sources(resolve([str(path)]), ReadOptions(**options), stdin=io.BytesIO()))  # type: ignore[arg-type]


def documents(found: Iterable[Document | Reject]) -> list[Document]:
    return [d for d in found if isinstance(d, Document)]


def rejects(found: Iterable[Document | Reject]) -> list[Reject]:
    return [r for r in found if isinstance(r, Reject)]


def codes(found: Iterable[Document | Reject]) -> list[tuple[str, str]]:
    return [(r.locator, r.code) for r in rejects(found)]


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


def rows(*cells: Iterable[object], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(cells)
    return out.getvalue().encode()


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.tsv", "\t"), ("a.csv.gz", ",")])
def test_rows_become_documents(tmp_path: Path, name: str, delimiter: str) -> None:
    content = rows(["id", "text", "lang"], [7, 'two\r\nlines, "quoted"\tand more', "en"], delimiter=delimiter)
    path = tmp_path / name
    found = read(path, gzip.compress(content) if name.endswith("gz") else content)
    assert found == [Document("7", path.as_uri(), 'two\r\nlines, "quoted"\tand more', "row 1", None, '{"lang":"en"}')]


def test_rows_are_counted_without_header_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    found = read(path, b"text,n\n\none,1\n\n\ntwo,2\nthree\nfour,4\n")
    assert [(d.text, d.doc_id) for d in documents(found)] == [
        ("one", f"{path.as_uri()}#1"),
        ("two", f"{path.as_uri()}#2"),
        ("four", f"{path.as_uri()}#4"),
    ]
    assert codes(found) == [("row 3", "bad-row")]


def test_a_quote_that_never_closes_is_one_bad_row_and_keeps_what_came_before(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", b'id,text\n1,good\n2,"open\n3,swallowed\n')
    assert [d.doc_id for d in documents(found)] == ["1"]
    assert codes(found) == [("row 2", "bad-row")]
    assert "lines 3 to 4" in rejects(found)[0].message
    assert shields(rejects(found)[0], rejects(found)[0].uri)


def test_a_row_above_the_limit_is_skipped_up_to_its_closing_quote(tmp_path: Path) -> None:
    long = 'x,"y\n' * 400
    content = rows(["id", "text"], [1, "one"], [2, long], [3, "x" * 900], [4, "four"])
    found = read(tmp_path / "a.csv", content, max_line_bytes=500)
    assert [d.doc_id for d in documents(found)] == ["1", "4"]
    assert codes(found) == [("row 2", "line-too-long"), ("row 3", "line-too-long")]


def test_a_cell_above_the_default_limit_of_the_csv_module_is_read(tmp_path: Path) -> None:
    (document,) = documents(read(tmp_path / "a.csv", rows(["text"], ["w" * 500_000])))
    assert len(document.text) == 500_000


def test_nul_bytes_in_a_cell_become_replacement_characters(tmp_path: Path) -> None:
    (document,) = documents(read(tmp_path / "a.csv", b"text\na\0b\n"))
    assert document.text == "a\ufffdb"


def test_bytes_that_are_not_utf8_reject_their_row_only(tmp_path: Path) -> None:
    content = "id,text,x\n1,Grüße,Köln\n".encode() + b"2,bad\xff,y\n" + "3,Zürich,ö\n".encode()
    found = read(tmp_path / "a.csv", content)
    assert [d.doc_id for d in documents(found)] == ["1", "3"]
    assert [(r.code, r.doc_id) for r in rejects(found)] == [("invalid-utf8", "2")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_a_table_in_another_encoding_is_read_and_its_metadata_name_it(tmp_path: Path, encoding: str) -> None:
    content = "id,text\n1,Le café était fermé à midi\n2,la préfète a peut-être rêvé\n".encode(encoding)
    found = documents(read(tmp_path / "a.csv", content))
    assert [d.text for d in found] == ["Le café était fermé à midi", "la préfète a peut-être rêvé"]
    expected = {"cp1252": {"encoding": "cp1252"}, "utf-16": {"encoding": "utf-16-le"}, "utf-8-sig": {}}[encoding]
    assert [json.loads(d.metadata) for d in found] == [expected, expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ("", "empty-file")),
        (b"id,text\n", ("", "empty-file")),
        (b'"open,text\na,b\n', ("header", "bad-row")),
    ],
)
def test_a_table_without_usable_header_or_rows_is_one_reject(
    tmp_path: Path, content: bytes, expected: tuple[str, str]
) -> None:
    assert codes(read(tmp_path / "a.csv", content)) == [expected]


def test_a_nameless_index_column_is_kept_under_its_number(tmp_path: Path) -> None:
    (document,) = documents(read(tmp_path / "a.csv", b",text\n0,hello\n"))
    assert json.loads(document.metadata) == {"column_1": "0"}


def table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_rows_become_documents_with_jsonable_metadata(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.parquet",
        doc_id=pa.array([5]),
        text=pa.array(["texte"]).dictionary_encode(),
        title=["T"],
        day=[dt.date(2020, 1, 2)],
        at=pa.array([1_577_934_245_123_456_789], pa.timestamp("ns", "UTC")),
        far=pa.array([10**12], pa.timestamp("s")),
        price=[Decimal("1.50")],
        blob=pa.array([b"\xff\x00"]),
        nested=[{"b": 1, "a": [True, None]}],
        score=[float("nan")],
    )
    (document,) = documents(read(path))
    assert (document.doc_id, document.title, document.text, document.locator) == ("5", "T", "texte", "row 1")
    metadata = json.loads(document.metadata)
    assert metadata.pop("at") == "2020-01-02T03:04:05.123456+00:00"
    assert isinstance(metadata.pop("far"), str)
    assert metadata == {
        "day": "2020-01-02",
        "price": "1.50",
        "nested": {"a": [True, None], "b": 1},
        "score": None,
    }


def test_parquet_rows_are_numbered_across_batches_and_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(1000)]}), path, row_group_size=300)
    found = documents(read(path))
    assert [d.locator for d in found] == [f"row {i}" for i in range(1, 1001)]
    assert [d.text for d in found] == [f"text {i}" for i in range(1000)]


def test_text_in_a_binary_column_is_read_and_invalid_utf8_rejected(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", id=["a", "b"], text=pa.array(["ü".encode(), b"\xff"]))
    found = read(path)
    assert [d.text for d in documents(found)] == ["ü"]
    assert [(r.locator, r.code, r.doc_id) for r in rejects(found)] == [("row 2", "invalid-utf8", "b")]


def test_invalid_utf8_in_a_string_column_rejects_its_row_only(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"\xff\xfe", None]).view(pa.string())
    found = read(table(tmp_path / "a.parquet", text=broken))
    assert [d.text for d in documents(found)] == ["good"]
    assert codes(found) == [("row 2", "invalid-utf8"), ("row 3", "empty-text")]


def test_a_parquet_file_without_rows_or_without_bytes_is_empty(tmp_path: Path) -> None:
    assert codes(read(table(tmp_path / "a.parquet", text=pa.array([], pa.string())))) == [("", "empty-file")]
    assert codes(read(tmp_path / "b.parquet", b"")) == [("", "empty-file")]


def test_a_parquet_file_that_is_cut_or_damaged_is_corrupt_and_protects_its_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{i} " + "word " * 50 for i in range(2000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=500, compression="zstd", use_dictionary=False)
    whole = path.read_bytes()
    middle = len(whole) * 3 // 5
    for content in (whole[:-100], b"PAR1" + b"\0" * 50, whole[:middle] + b"\xff" * 2000 + whole[middle + 2000 :]):
        found = read(path, content)
        assert [(r.locator, r.code) for r in rejects(found)] == [("", "corrupt")]
        assert shields(rejects(found)[0], path.as_uri())
        assert [d.text for d in documents(found)] == texts[: len(documents(found))]


def test_a_table_without_the_text_column_is_rejected_row_by_row(tmp_path: Path) -> None:
    found = read(table(tmp_path / "a.parquet", body=["x", "y"]))
    assert codes(found) == [("row 1", "missing-field"), ("row 2", "missing-field")]


@pytest.mark.parametrize("stored", [True, False])
def test_a_text_that_parquet_stores_once_for_many_rows_is_in_memory_once(tmp_path: Path, stored: bool) -> None:
    """A file of one megabyte whose rows have eight gigabytes; `stored`: the schema says it is a dictionary in Arrow."""
    rows, text = 400, "word " * (4 << 20)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text], pa.large_string()))
    pq.write_table(pa.table({"text": column}), tmp_path / "bomb.parquet", store_schema=stored)
    found = read_sources(resolve([str(tmp_path / "bomb.parquet")]), ReadOptions(), stdin=io.BytesIO())
    before = pa.default_memory_pool().max_memory()
    first = [next(found) for _ in range(3)]
    assert [isinstance(d, Document) and len(d.text) for d in first] == [len(text.strip()) + 1] * 3
    assert pa.default_memory_pool().max_memory() - before < 500 << 20


def test_a_list_of_sentences_becomes_lines_where_it_is_asked_for(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": ["One,\nand more.", "Two."]}, {"id": "b", "text": ["Whole."]}]
    (tmp_path / "a.jsonl").write_bytes("\n".join(map(json.dumps, rows)).encode())
    table = pa.table({"id": ["d"], "text": [["Three.", "Four."]]})
    pq.write_table(table, tmp_path / "b.parquet")
    found = list(read_sources(resolve([str(tmp_path)]), ReadOptions(presplit=True), stdin=io.BytesIO()))
    texts = [item.text for item in found if isinstance(item, Document)]
    assert texts == ["One, and more.\nTwo.", "Whole.", "Three.\nFour."]


@pytest.mark.parametrize(
    ("text", "presplit", "message"),
    [
        ("Whole.", True, r"must be a list of sentences, this is a string; a list of one string is one sentence\."),
        (["One.", 2], True, r"each item must be a string, item 2 is a number; convert it"),
        (["One.", ["Two."]], True, r"item 2 is a list"),
        (5, True, r"must be a list of sentences, this is a number"),
        (["One.", "Two."], False, r"this is a list; .* A list of sentences is read with --presplit field"),
    ],
)
def test_what_is_no_list_of_sentences_is_refused_with_what_to_do(
    tmp_path: Path, text: object, presplit: bool, message: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}))
    [found] = read_sources(resolve([str(tmp_path)]), ReadOptions(presplit=presplit), stdin=io.BytesIO())
    assert isinstance(found, Reject)
    assert found.code == "wrong-type"
    assert re.search(message, found.message)
