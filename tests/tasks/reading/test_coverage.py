"""Which addresses a scan of a source covers, and which documents it must not take for gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.records import Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import shields
from tests.tasks.reading.test_sources import read, write


def test_a_folder_covers_files_that_it_would_yield_if_they_existed(tmp_path: Path) -> None:
    write(tmp_path, "corpus/a.txt")
    (source,) = resolve([str(tmp_path / "corpus")])

    def covers(name: str) -> bool:
        return source.covers((tmp_path / name).as_uri())

    assert covers("corpus/deleted.txt")
    assert covers("corpus/deep/er/deleted ü.jsonl.gz")
    assert not covers("corpus2/a.txt")
    assert not covers("a.txt")
    assert not covers("corpus/.hidden/a.txt")
    assert not covers("corpus/a.png")
    assert not source.covers("stdin:")


def test_a_pattern_covers_only_what_it_matches(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    (source,) = resolve([f"{tmp_path}/*.txt"])
    assert source.covers((tmp_path / "deleted.txt").as_uri())
    assert not source.covers((tmp_path / "sub" / "deleted.txt").as_uri())
    assert not source.covers((tmp_path / "deleted.md").as_uri())


def test_a_file_covers_itself_and_standard_input_covers_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.txt")
    file, stdin = resolve([str(tmp_path / "a.txt"), "-"])
    assert file.covers((tmp_path / "a.txt").as_uri())
    assert not file.covers((tmp_path / "b.txt").as_uri())
    assert not stdin.covers("stdin:")
    assert list(stdin.listed(ReadOptions(), reading="")) == []


def test_every_document_of_a_source_is_covered_by_it(tmp_path: Path) -> None:
    write(tmp_path, "a b.txt", "ü/ç%20.md", "x#y?.txt")
    (source,) = resolve([str(tmp_path)])
    found = read(tmp_path)
    assert len(found) == 3
    assert all(source.covers(d.uri) for d in found)


@pytest.mark.parametrize(
    ("reject", "shielded"),
    [
        (Reject("file:///a.jsonl", "", "read", "truncated", ""), True),
        (Reject("file:///a.jsonl", "line 3", "read", "bad-json", ""), True),
        (Reject("file:///a.jsonl", "line 3", "read", "empty-text", "", doc_id="x"), False),
        (Reject("file:///a.jsonl", "", "read", "empty-file", ""), True),
        (Reject("file:///b.jsonl", "", "read", "truncated", ""), False),
        (Reject("file:///", "", "read", "unreadable", ""), True),
    ],
)
def test_documents_are_shielded_exactly_if_the_read_cannot_prove_them_gone(reject: Reject, shielded: bool) -> None:
    assert shields(reject, "file:///a.jsonl") is shielded
