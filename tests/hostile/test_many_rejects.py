"""Files of which much is refused: their rows are bounded, their counts complete, and every refused document stays."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.shards.reject_rows import ROWS_OF_A_FILE
from tests.hostile.lakeside import Lakeside, lakeside
from tests.tasks.conftest import Runs, catalog, document, lake, runs

__all__ = ["catalog", "lake", "lakeside", "runs"]

FEW = 5


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.reject_rows.ROWS_OF_A_FILE", FEW)


def rows(lakeside: Lakeside) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lakeside.catalog.snapshot().rejects.to_pylist()
    return found


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def good(number: int) -> dict[str, str]:
    return {"id": f"x{number}", "text": f"The heron stood in reed {number}."}


def test_of_one_file_ten_thousand_rejects_are_listed_and_the_rest_is_counted(runs: Runs) -> None:
    many = ROWS_OF_A_FILE + 2_000
    refused = (Reject("file:///a", f"line {i}", "read", "bad-json", "not JSON") for i in range(1, many + 1))

    def items() -> Iterator[Document | Reject]:
        yield document("before")
        yield from refused
        yield document("after")

    scan = runs.embed(*items())
    assert (scan.tally.rejected, scan.refused) == (many, {"bad-json": many})
    *listed, rest = runs.catalog.snapshot().rejects.to_pylist()
    assert (len(listed), {row["code"] for row in listed}) == (ROWS_OF_A_FILE, {"bad-json"})
    assert (rest["uri"], rest["code"]) == ("file:///a", "more-rejects")
    assert rest["locator"] == f"line {ROWS_OF_A_FILE + 1} to line {many}"
    assert rest["message"].startswith("2,000 more records refused (bad-json 2,000)")
    assert runs.rows("SELECT doc_id FROM documents ORDER BY 1") == [("after",), ("before",)]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("bad", ["not JSON", '{"id": "%s"}', '{"id": "%s", "text": 7}', "[]", '{"text": "No id."}'])
def test_documents_whose_record_is_refused_stay_whether_it_has_a_row_or_not(
    lakeside: Lakeside, tmp_path: Path, bad: str
) -> None:
    source = write(tmp_path / "a.jsonl", *map(good, range(40)))
    lakeside.embed(source)
    broken = [bad % f"x{i}" if "%s" in bad else bad for i in range(2, 38)]
    write(source, good(0), good(1), *broken, good(38), good(39))
    for _ in range(2):
        scan = lakeside.embed(source, id_field="id", limit="100%")
        assert (scan.tally.unchanged, scan.tally.deleted, scan.tally.rejected) == (4, 0, 36)
        assert sorted(lakeside.documents()) == sorted(f"x{i}" for i in range(40))
        assert len(rows(lakeside)) == FEW + 1
    write(source, *map(good, range(40)))
    assert (lakeside.embed(source, limit="100%").tally.unchanged, rows(lakeside)) == (40, [])


@pytest.mark.usefixtures("few")
def test_what_is_gone_is_still_deleted_beside_refused_records_with_an_id(lakeside: Lakeside, tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", *map(good, range(30)))
    lakeside.embed(source)
    write(source, *map(good, range(15)), *({"id": f"x{i}"} for i in range(15, 29)))
    assert lakeside.embed(source).tally.deleted == 1
    assert sorted(lakeside.documents()) == sorted(f"x{i}" for i in range(29))


@pytest.mark.usefixtures("few")
def test_the_reject_of_a_whole_file_has_a_row_behind_any_number_of_others(lakeside: Lakeside, tmp_path: Path) -> None:
    lines = "".join(json.dumps(good(i)) + "\n" for i in range(20)) + "bad\n" * 30
    whole = gzip.compress(lines.encode(), 0)
    source = tmp_path / "a.jsonl.gz"
    source.write_bytes(whole)
    lakeside.embed(source)
    assert [row["code"] for row in rows(lakeside)] == ["bad-json"] * FEW + ["more-rejects"]
    source.write_bytes(gzip.compress(lines.encode()[800:], 0)[:-12])
    assert lakeside.embed(source, limit="100%").tally.deleted == 0
    assert [row["code"] for row in rows(lakeside)].count("truncated") == 1
    assert len(lakeside.documents()) == 20


@pytest.mark.usefixtures("few")
def test_each_of_many_files_has_its_own_rows(lakeside: Lakeside, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(40):
        write(corpus / f"{number:02}.jsonl", good(number), good(number), *(f"bad {line}" for line in range(8)))
    write(corpus / "40.jsonl", "one", "two")
    scan = lakeside.embed(corpus)
    assert (scan.tally.new, scan.tally.rejected) == (40, 40 * 9 + 2)
    found = rows(lakeside)
    for number in range(40):
        mine = [row for row in found if row["uri"].endswith(f"/{number:02}.jsonl")]
        rest = sum(int(row["message"].split()[0]) for row in mine if row["code"] == "more-rejects")
        assert len(mine) == FEW + 1
        assert len(mine) - 1 + rest == 9
    assert [row["code"] for row in found if row["uri"].endswith("/40.jsonl")] == ["bad-json"] * 2


@pytest.mark.usefixtures("few")
def test_rejects_that_come_long_after_others_of_their_file_lose_no_count(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.reject_rows._OPEN_FILES", 16)

    def reject(file: int, line: int) -> Reject:
        return Reject(f"file:///{file}", f"line {line}", "read", "bad-json", "not JSON")

    runs.embed(
        *(reject(file, line) for part in range(2) for file in range(30) for line in range(8 * part, 8 * part + 8))
    )
    listed = runs.rows("SELECT count(*) FROM rejects WHERE code = 'bad-json'")[0][0]
    messages = [str(message) for (message,) in runs.rows("SELECT message FROM rejects WHERE code = 'more-rejects'")]
    assert isinstance(listed, int)
    assert listed + sum(int(message.split()[0]) for message in messages) == 30 * 16
