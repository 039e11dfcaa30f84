"""Skipped files in a lake: what the view shows of each source, and whose documents stay."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.sql.connection import connect
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.shards import skipped_tally
from tests import document_files as made
from tests.hostile.lakeside import Lakeside, lakeside

__all__ = ["lakeside"]


def rows(lakeside: Lakeside) -> list[tuple[Any, ...]]:
    with connect(lakeside.catalog.lake) as con:
        return con.execute("SELECT source, extension, reason, files, example FROM skipped").fetchall()


def total(lakeside: Lakeside) -> dict[str, int]:
    found: Counter[str] = Counter()
    for _, extension, _, files, _ in rows(lakeside):
        found[extension] += files
    return dict(found)


def put(root: Path, *names: str, content: bytes = b"A text. Another sentence.") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_the_view_counts_by_source_extension_and_reason(lakeside: Lakeside, tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", "a.txt", "a.png", "sub/b.PNG", ".x"), put(tmp_path / "two", "a.zzz", "a.txt")
    scan = lakeside.embed(one, two)
    assert rows(lakeside) == [
        (str(one), ".png", "not-a-text-format", 2, (one / "a.png").as_uri()),
        (str(one), "", "hidden", 1, (one / ".x").as_uri()),
        (str(two), ".zzz", "not-a-text-format", 1, (two / "a.zzz").as_uri()),
    ]
    assert (scan.tally.skipped_files, scan.tally.documents, skipped_tally.at_fault(scan.skipped_files)) == (4, 2, 3)


def test_the_next_scan_of_a_source_or_of_one_above_it_replaces_its_rows(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "root", "a.txt", "sub/a.png", "sub/a.txt")
    other = put(tmp_path / "other", "a.xyz", "a.txt")
    lakeside.embed(root / "sub")
    lakeside.embed(other)
    lakeside.embed(root)
    assert [(source, extension) for source, extension, *_ in rows(lakeside)] == [
        (str(other), ".xyz"),
        (str(root), ".png"),
    ]
    (root / "sub" / "a.png").unlink()
    lakeside.embed(root)
    assert [source for source, *_ in rows(lakeside)] == [str(other)]


def test_a_file_is_counted_once_whatever_the_sources_of_later_runs(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "in", "a.txt", "a.png", "b.PNG", "sub/c.png", "sub/deep/d.png", "sub/.h", "sub/.k/x.png")
    (root / "sub" / "e.zip").write_bytes(made.zipped({"f.png": "", "deep/g.png": "", "h.txt": "A heron."}))
    os.mkfifo(root / "p.txt")
    sub, every = root / "sub", {".png": 6, "": 2, ".txt": 1}
    for specs in (
        [root], [sub], [root], [f"{root}/*"], [f"{root}/[ab].*"], [sub, f"{root}/a*"], [f"{root}/**"], [root, sub],
        [sub / "e.zip"], [f"{sub}/*"], [f"{root}/*.txt", root], [root / "a.txt", sub / "deep"], [f"{root}/*/*"],
    ):  # fmt: skip
        lakeside.embed(*specs)
        assert total(lakeside) == every, specs
    assert {source for source, *_ in rows(lakeside)} > {str(root)}
    for name in ("sub/c.png", "sub/deep/d.png"):
        (root / name).unlink()
    put(sub, "new.png", "deep/new.zzz")
    lakeside.embed(sub)
    assert total(lakeside) == every | {".png": 5, ".zzz": 1}
    (root / "a.png").unlink()
    lakeside.embed(root)
    assert total(lakeside) == every | {".png": 4, ".zzz": 1}


def test_what_a_run_leaves_out_or_cannot_see_keeps_its_rows(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "in", "a.txt", "a.png", "sub/b.png", "sub/b.txt", ".h/c.png", ".h/c.txt")
    (root / "d.zip").write_bytes(made.zipped({"e.png": "", "e.txt": "A reed."}))
    lakeside.embed(root, root / ".h")
    before = rows(lakeside)
    assert total(lakeside) == {".png": 4}
    lakeside.embed(root, patterns=Patterns(exclude=("sub/", "*.zip")))
    assert set(before) <= {*rows(lakeside), (str(root), ".png", "not-a-text-format", 3, (root / "a.png").as_uri())}
    assert total(lakeside) == {".png": 4, ".zip": 1, "": 2}, "and the folders count as one each"
    (root / "d.zip").write_bytes(b"PK\3\4 damaged")
    lakeside.embed(root)
    assert total(lakeside) == {".png": 4, "": 1}
    lakeside.embed(root, patterns=Patterns(exclude=("*.png",)))
    assert total(lakeside) == {".png": 4, "": 1}, "an excluded file is one that is skipped for another reason"


def test_what_a_later_run_counted_stays(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "in", "a.txt", "a.png", "sub/b.png", "sub/b.txt")
    slow = lakeside.embed(root)
    put(root, "sub/c.png")
    lakeside.embed(root / "sub")
    slow.record_skipped(slow.sources or ())
    assert total(lakeside) == {".png": 3}


def test_files_of_a_million_folders_are_counted_in_bounded_memory(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skipped_tally, "MOST_ROWS", 3)
    root = put(tmp_path / "in", "a.txt", *(f"{n}/f.png" for n in range(8)), "9/a.xyz")
    lakeside.embed(root)
    assert len(lakeside.catalog.snapshot().skipped) == 2
    assert [(extension, files) for _, extension, _, files, _ in rows(lakeside)] == [(".png", 8), (".xyz", 1)]
    lakeside.embed(root / "7")
    lakeside.embed(root / "0")
    assert total(lakeside) == {".png": 8, ".xyz": 1}
    (root / "7" / "f.png").unlink()
    lakeside.embed(root)
    assert total(lakeside) == {".png": 7, ".xyz": 1}


def test_a_million_extensions_are_counted_in_bounded_memory(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skipped_tally, "MOST_KINDS", 3)
    lakeside.embed(put(tmp_path / "root", "a.txt", *(f"f.e{n}" for n in range(8))))
    found = rows(lakeside)
    assert len(found) == 4
    assert {extension: files for _, extension, _, files, _ in found}["(others)"] == 5


def test_documents_of_what_is_excluded_stay_and_are_covered_again_without_the_pattern(
    lakeside: Lakeside, tmp_path: Path
) -> None:
    root = put(tmp_path / "root", "a.txt", "build/b.txt", "build/c.txt", "d.log.txt")
    put(root, "build/bad.txt", content=b"")
    lakeside.embed(root)
    (root / "build" / "b.txt").unlink()
    (root / "a.txt").unlink()
    patterns = Patterns(exclude=("build/", "*.log.txt"))
    scan = lakeside.embed(root, patterns=patterns, limit="100%")
    assert (scan.tally.documents, scan.tally.deleted) == (0, 1)
    assert len(lakeside.documents()) == 3
    assert lakeside.rejects() == ["empty-file"], "its reject is that of a file which is no part of the run"
    assert {reason: files for _, _, reason, files, _ in rows(lakeside)} == {"excluded": 1, "excluded-folder": 1}
    scan = lakeside.embed(root, limit="100%")
    assert (scan.tally.unchanged, scan.tally.deleted) == (2, 1)


@pytest.mark.parametrize("content", [b"\0\1\2\xff", b"\n \n"], ids=["binary", "blank"])
def test_a_file_without_a_suffix_that_lost_its_text_keeps_its_documents(
    lakeside: Lakeside, tmp_path: Path, content: bytes
) -> None:
    root = put(tmp_path / "root", "README", "other")
    records = [{"id": f"r{n}", "text": "A record."} for n in range(3)]
    put(root, "records", content="\n".join(map(json.dumps, records)).encode())
    lakeside.embed(root)
    assert len(lakeside.documents()) == 5
    put(root, "README", "records", content=content)
    put(root, "other", content=b"")
    scan = lakeside.embed(root, limit="100%")
    assert (scan.tally.deleted, len(lakeside.documents())) == (0, 5)
    (root / "README").unlink()
    assert lakeside.embed(root, limit="100%").tally.deleted == 1


def test_a_pipe_or_a_folder_in_the_place_of_a_file_leaves_no_document_of_it(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "root", "a.txt", "b.txt", "c.txt", "README")
    lakeside.embed(root)
    for name in ("a.txt", "b.txt", "README"):
        (root / name).unlink()
    os.mkfifo(root / "a.txt")
    os.mkfifo(root / "README")
    (root / "b.txt").mkdir()
    assert lakeside.embed(root, limit="100%").tally.deleted == 3
    assert list(lakeside.documents().values()) == [(root / "c.txt").as_uri()]


def test_a_json_file_that_is_empty_keeps_its_documents(lakeside: Lakeside, tmp_path: Path) -> None:
    root = put(tmp_path / "root", "a.txt")
    put(root, "a.json", content=json.dumps([{"text": f"A heron {n}."} for n in range(3)]).encode())
    lakeside.embed(root)
    put(root, "a.json", content=b"")
    assert lakeside.embed(root, limit="100%").tally.deleted == 0


def test_a_lake_inside_its_source_is_allowed_if_it_is_left_out(lakeside: Lakeside, tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    name = Path(str(lakeside.catalog.lake.root)).relative_to(tmp_path)
    scan = lakeside.embed(tmp_path, patterns=Patterns(include=("/a.txt",), exclude=(f"/{name}/",)))
    assert scan.tally.documents == 1
