"""Rows of CSV and TSV: which become documents, and which are rejected with which code."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from polyseme.storage.records import Document
from polyseme.tasks.reading.sources import shields
from tests.read_records import codes, documents, read, rejects


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
