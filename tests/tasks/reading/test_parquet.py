"""Rows of Parquet: which become documents, and which are rejected with which code."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources, shields
from tests.read_records import codes, documents, read, rejects


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
