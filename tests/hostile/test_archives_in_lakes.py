"""Members of archives and parts of files in a lake: what leaves is deleted, what moves stays, what is broken stays."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from polyseme.storage.records import Document
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.shards.identity import is_derived, is_impostor
from tests import document_files as made
from tests.hostile.lakeside import Lakeside, corpus, lakeside

__all__ = ["corpus", "lakeside"]

MEMBERS = {f"{i}.txt": f"The heron {i}." for i in range(12)}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.zip"
    path.parent.mkdir()
    path.write_bytes(made.zipped(MEMBERS))
    return path


def test_a_member_that_left_its_archive_is_deleted(lakeside: Lakeside, archive: Path) -> None:
    lakeside.embed(archive.parent)
    assert lakeside.embed(archive.parent).tally.unchanged == len(MEMBERS)
    archive.write_bytes(made.zipped({name: text for name, text in MEMBERS.items() if name != "3.txt"}))
    assert lakeside.embed(archive.parent).tally.deleted == 1
    assert not any(uri.endswith("!/3.txt") for uri in lakeside.documents().values())


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 nothing else", b"It is a text.", made.zipped({})])
def test_an_archive_that_is_broken_deletes_nothing(lakeside: Lakeside, archive: Path, damage: bytes) -> None:
    lakeside.embed(archive.parent)
    archive.write_bytes(damage)
    scan = lakeside.embed(archive.parent, limit="100%")  # or the guard would hold the deletion back
    assert (scan.tally.deleted, len(lakeside.documents())) == (0, len(MEMBERS))


def test_an_archive_of_zeros_deletes_nothing(lakeside: Lakeside, archive: Path) -> None:
    other = archive.with_name("b.tar")
    with tarfile.open(other, "w") as tar:
        tar.add(archive, "c.zip")
    archive.unlink()
    lakeside.embed(archive.parent)
    other.write_bytes(bytes(other.stat().st_size))
    scan = lakeside.embed(archive.parent, limit="100%")
    assert (scan.tally.deleted, len(lakeside.documents())) == (0, len(MEMBERS))
    assert lakeside.rejects() == ["empty-file"]


@pytest.mark.parametrize("name", ["inner.zip", "inner"])
@pytest.mark.parametrize(
    "damage", [made.zipped({}), b"", b"PK\3\4 nothing else", b"\0\1\2\xff", b"\x89PNG\r\n\x1a\n\0"]
)
def test_an_archive_in_another_that_is_broken_deletes_nothing(
    lakeside: Lakeside, archive: Path, name: str, damage: bytes
) -> None:
    archive.write_bytes(made.zipped({name: made.zipped({"s/b.txt": "A reed.", "c.txt": "A crane."}), "a.txt": "A."}))
    lakeside.embed(archive.parent)
    archive.write_bytes(made.zipped({name: damage}))
    scan = lakeside.embed(archive.parent, limit="100%")
    assert (scan.tally.deleted, len(lakeside.documents())) == (1, 2)


@pytest.mark.parametrize("damage", [b"", b"\0\1\2\xff", b"\x89PNG\r\n\x1a\n\0"])
def test_an_archive_without_a_suffix_that_has_no_text_any_more_keeps_its_documents(
    lakeside: Lakeside, archive: Path, damage: bytes
) -> None:
    bundle = archive.rename(archive.with_name("bundle"))
    archive.with_name("bundles").write_bytes(damage)
    lakeside.embed(archive.parent)
    bundle.write_bytes(damage)
    scan = lakeside.embed(archive.parent, limit="100%")
    assert (scan.tally.deleted, len(lakeside.documents())) == (0, len(MEMBERS))
    bundle.unlink()
    assert lakeside.embed(archive.parent, limit="100%").tally.deleted == len(MEMBERS)


def test_rejects_of_members_are_those_of_runs_that_read_their_archive(lakeside: Lakeside, archive: Path) -> None:
    archive.write_bytes(made.zipped(MEMBERS | {"bad.txt": b""}))
    (archive.parent / "notes").write_bytes(b'{"text": "A heron."}\nno JSON\n')
    (archive.parent / "gone.txt").symlink_to("nowhere")
    lakeside.embed(archive.parent)
    all_of_them = ["bad-json", "empty-file", "unreadable"]
    assert sorted(lakeside.rejects()) == all_of_them
    for patterns in (Patterns(exclude=("*.zip", "notes")), Patterns(include=("*.zip",)), Patterns(include=("*.md",))):
        for source in (archive.parent, f"{archive.parent}/**", archive.parent):
            lakeside.embed(source, archive.parent / "a.zip", patterns=patterns)
            assert sorted(lakeside.rejects()) == all_of_them
    archive.write_bytes(made.zipped(MEMBERS))
    lakeside.embed(archive.parent, patterns=Patterns(include=("*.zip",)))
    assert sorted(lakeside.rejects()) == ["bad-json", "unreadable"]


def test_a_renamed_archive_is_moved_and_a_copied_one_is_new(lakeside: Lakeside, archive: Path) -> None:
    lakeside.embed(archive.parent)
    ids = set(lakeside.documents())
    archive.rename(moved := archive.with_name("b.zip"))
    scan = lakeside.embed(archive.parent)
    assert (scan.tally.moved, scan.tally.new, scan.tally.deleted) == (len(MEMBERS), 0, 0)
    assert set(lakeside.documents()) == ids
    moved.with_name("c.zip").write_bytes(moved.read_bytes())
    scan = lakeside.embed(archive.parent)
    assert (scan.tally.moved, scan.tally.new, len(lakeside.documents())) == (0, len(MEMBERS), 2 * len(MEMBERS))


def test_sheets_of_a_renamed_workbook_are_moved(lakeside: Lakeside, tmp_path: Path) -> None:
    (tmp_path / "in" / "x").mkdir(parents=True)
    book = tmp_path / "in" / "x" / "a.xlsx"
    book.write_bytes(made.xlsx())
    lakeside.embed(tmp_path / "in")
    book.parent.rename(tmp_path / "in" / "y")
    scan = lakeside.embed(tmp_path / "in")
    assert (scan.tally.moved, scan.tally.new, scan.tally.deleted) == (2, 0, 0)


def test_a_record_cannot_have_the_id_of_a_sheet(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(made.xlsx())
    (sheet, _) = read_file(tmp_path / "a.xlsx", (tmp_path / "a.xlsx").as_uri(), ReadOptions())
    assert isinstance(sheet, Document)
    assert is_derived(sheet)
    assert is_impostor(Document(sheet.doc_id, "file:///x/b.jsonl", "x"), lambda uri: uri == sheet.uri)
