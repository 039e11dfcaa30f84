"""Nothing vanishes that nobody deleted: sources that are emptied, unmounted, cut short, damaged, renamed or doubled."""

from __future__ import annotations

import bz2
import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from tests.hostile.lakeside import MANY, Lakeside, corpus, empty, fill, lakeside, records

__all__ = ["corpus", "lakeside"]


# A source that yields nothing


@pytest.mark.parametrize("vanish", [empty, shutil.rmtree], ids=["emptied or unmounted", "missing altogether"])
@pytest.mark.parametrize("count", [1, 3, MANY])
def test_a_folder_in_which_nothing_is_found_deletes_nothing_until_that_is_confirmed(
    lakeside: Lakeside, tmp_path: Path, vanish: Callable[[Path], None], count: int
) -> None:
    fill(tmp_path / "corpus", count)
    lakeside.embed(tmp_path / "corpus")
    vanish(tmp_path / "corpus")
    for limit in (None, "99%", "1000"):
        scan = lakeside.embed(tmp_path / "corpus", limit=limit)
        assert (scan.tally.deleted, len(lakeside.documents())) == (0, count)
    (held,) = scan.held_back
    assert (held.reason, held.documents, held.had, held.confirm_with) == ("nothing-found", count, count, "100%")
    assert held.source == str(tmp_path / "corpus")
    assert held.examples[0].startswith("file:///")
    assert [h.run_id for h in lakeside.held()] == ["run4"]
    assert lakeside.embed(tmp_path / "corpus", limit="100%").tally.deleted == count
    assert (lakeside.documents(), lakeside.held()) == ({}, [])


def test_a_folder_whose_name_is_not_utf_8_is_guarded_like_any_other(lakeside: Lakeside, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    fill(folder, 3)
    lakeside.embed(folder)
    empty(folder)
    assert lakeside.embed(folder).tally.deleted == 0
    (held,) = lakeside.held()
    assert held.source == folder.as_uri()
    fill(folder, 3)
    assert (lakeside.embed(held.source).tally.unchanged, lakeside.held()) == (3, [])


def test_documents_that_are_found_again_are_no_longer_held_back(lakeside: Lakeside, corpus: Path) -> None:
    lakeside.embed(corpus)
    corpus.rename(corpus.with_name("unmounted"))
    lakeside.embed(corpus)
    assert len(lakeside.held()) == 1
    corpus.with_name("unmounted").rename(corpus)
    scan = lakeside.embed(corpus)
    assert (scan.tally.unchanged, lakeside.held()) == (MANY, [])


def test_what_is_new_is_committed_beside_what_is_held_back(lakeside: Lakeside, corpus: Path) -> None:
    lakeside.embed(corpus)
    empty(corpus)
    (corpus / "new.txt").write_text("Something else.")
    scan = lakeside.embed(corpus)
    assert (scan.tally.new, scan.tally.deleted, len(lakeside.documents())) == (1, 0, MANY + 1)


def test_each_source_of_a_run_is_judged_on_its_own(lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other)
    lakeside.embed(corpus, other)
    empty(corpus)
    (other / "03.txt").unlink()
    scan = lakeside.embed(corpus, other)
    assert (scan.tally.deleted, [h.source for h in scan.held_back]) == (1, [str(corpus)])
    assert len(lakeside.documents()) == 2 * MANY - 1


@pytest.mark.parametrize("vanish", [empty, shutil.rmtree])
def test_a_pattern_that_matches_nothing_any_more_is_guarded_and_no_usage_error(
    lakeside: Lakeside, corpus: Path, vanish: Callable[[Path], None]
) -> None:
    lakeside.embed(corpus / "*.txt")
    vanish(corpus)
    assert [h.reason for h in lakeside.embed(corpus / "*.txt").held_back] == ["nothing-found"]
    assert lakeside.embed(corpus / "*.txt", limit="100%").tally.deleted == MANY
    with pytest.raises(UsageError, match="no file that can be read matches"):
        lakeside.embed(corpus / "*.txt")


@pytest.mark.parametrize("spec", ["never", "never/*.txt", "never.jsonl"])
def test_a_source_that_the_lake_does_not_know_is_still_a_usage_error(
    lakeside: Lakeside, corpus: Path, tmp_path: Path, spec: str
) -> None:
    lakeside.embed(corpus)
    with pytest.raises(UsageError):
        lakeside.embed(tmp_path / spec)


def test_a_file_that_is_not_there_any_more_is_guarded(lakeside: Lakeside, tmp_path: Path) -> None:
    source = records(tmp_path / "a.jsonl", "x", "y")
    lakeside.embed(source)
    source.unlink()
    assert [h.documents for h in lakeside.embed(source).held_back] == [2]
    assert len(lakeside.documents()) == 2


def test_a_source_that_is_a_link_whose_target_is_gone_is_guarded(lakeside: Lakeside, corpus: Path) -> None:
    link = corpus.with_name("link")
    link.symlink_to(corpus)
    lakeside.embed(link)
    shutil.rmtree(corpus)
    assert [h.documents for h in lakeside.embed(link).held_back] == [MANY]


# A part of a source


def test_an_emptied_subfolder_beyond_the_share_is_held_back(lakeside: Lakeside, corpus: Path) -> None:
    fill(corpus / "sub", 12)
    lakeside.embed(corpus)
    empty(corpus / "sub")
    (held,) = lakeside.embed(corpus).held_back
    assert (held.reason, held.documents, held.had, held.confirm_with) == ("too-many", 12, MANY + 12, "12")
    assert lakeside.embed(corpus, limit="28%").tally.deleted == 0
    assert lakeside.embed(corpus, limit="11").tally.deleted == 0
    assert lakeside.embed(corpus, limit="12").tally.deleted == 12


@pytest.mark.parametrize(("files", "gone"), [(MANY, 10), (12, 10), (100, 20)])
def test_what_somebody_deleted_within_the_limit_is_deleted(
    lakeside: Lakeside, tmp_path: Path, files: int, gone: int
) -> None:
    fill(tmp_path / "corpus", files)
    lakeside.embed(tmp_path / "corpus")
    for i in range(gone):
        (tmp_path / "corpus" / f"{i:02}.txt").unlink()
    assert lakeside.embed(tmp_path / "corpus").tally.deleted == gone


@pytest.mark.parametrize("value", ["101%", "-1", "x", "", "%", "10 documents", "1e9"])
def test_a_limit_that_is_neither_a_share_nor_a_number_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="--delete-limit is a share"):
        DeletionLimit.parse(value)


@pytest.mark.parametrize("name", ["linked", "linked.csv"])
def test_a_linked_folder_whose_target_is_gone_keeps_its_documents(
    lakeside: Lakeside, corpus: Path, tmp_path: Path, name: str
) -> None:
    fill(tmp_path / "mounted", 2)
    (corpus / name).symlink_to(tmp_path / "mounted")
    lakeside.embed(corpus)
    shutil.rmtree(tmp_path / "mounted")
    scan = lakeside.embed(corpus)
    assert (scan.tally.deleted, len(lakeside.documents()), lakeside.rejects()) == (0, MANY + 2, ["unreadable"])


@pytest.mark.parametrize(
    "suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".md", ".csv.gz", ".jsonl.gz", ".jsonl.bz2", ".txt.gz"]
)
def test_a_file_of_zero_bytes_keeps_its_documents_and_is_rejected(
    lakeside: Lakeside, tmp_path: Path, suffix: str
) -> None:
    corpus = tmp_path / "corpus"
    fill(corpus, 3)
    content = {".csv": b"id,text\nx,One.\ny,Two.\n", ".tsv": b"id\ttext\nx\tOne.\ny\tTwo.\n"}
    lines = b'{"id": "x", "text": "One."}\n{"id": "y", "text": "Two."}\n'
    plain = content.get(suffix[:4], lines if "j" in suffix else b"One. Two.")
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(suffix.rpartition(".")[2], bytes)
    (corpus / f"a{suffix}").write_bytes(pack(plain))
    lakeside.embed(corpus)
    before = lakeside.documents()
    assert len(before) in (4, 5)
    for nothing in (b"", pack(b"")):
        (corpus / f"a{suffix}").write_bytes(nothing)
        assert lakeside.embed(corpus).tally.deleted == 0
        assert (lakeside.documents(), len(lakeside.rejects())) == (before, 1)


def test_a_parquet_file_of_zero_bytes_keeps_its_documents(lakeside: Lakeside, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    corpus = tmp_path / "corpus"
    fill(corpus, 3)
    pq.write_table(pa.table({"id": ["x", "y"], "text": ["One.", "Two."]}), corpus / "a.parquet")
    lakeside.embed(corpus)
    (corpus / "a.parquet").write_bytes(b"")
    assert lakeside.embed(corpus).tally.deleted == 0
    assert (len(lakeside.documents()), len(lakeside.rejects())) == (5, 1)


# Wrong options


@pytest.mark.parametrize("options", [{"text_field": "body"}, {"id_field": "key"}])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_field_that_does_not_exist_deletes_nothing(
    lakeside: Lakeside, tmp_path: Path, options: dict[str, str], suffix: str
) -> None:
    source = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        source.write_text("id,text\nx,One.\ny,Two.\n")
    else:
        records(source, "x", "y")
    lakeside.embed(source)
    assert lakeside.embed(source, **options).tally.deleted == 0
    assert sorted(lakeside.documents()) == ["x", "y"]
    assert lakeside.rejects()


@pytest.mark.parametrize("count", [2, MANY])
def test_an_id_field_that_gives_all_documents_new_ids_is_held_back(
    lakeside: Lakeside, tmp_path: Path, count: int
) -> None:
    source = tmp_path / "a.jsonl"
    rows = [{"id": f"x{i}", "key": f"k{i}", "text": f"The heron {i}."} for i in range(count)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lakeside.embed(source)
    scan = lakeside.embed(source, id_field="key")
    assert (scan.tally.new, scan.tally.deleted, len(lakeside.documents())) == (count, 0, 2 * count)
    assert [h.reason for h in scan.held_back] == ["nothing-found"]


# A listing cut short


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOENT])
@pytest.mark.parametrize(("where", "after"), [("corpus", 0), ("corpus", 1), ("sub", 0), ("sub", 1)])
def test_a_listing_that_breaks_off_deletes_nothing(
    lakeside: Lakeside, corpus: Path, number: int, where: str, after: int
) -> None:
    fill(corpus / "sub", 3)
    lakeside.embed(corpus)
    (corpus / "00.txt").unlink()
    scandir = os.scandir

    class Broken:
        def __init__(self, path: object) -> None:
            if not after:
                raise OSError(number, os.strerror(number))
            self._listing = scandir(path)  # type: ignore[call-overload]

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self._listing.close()

        def __iter__(self) -> Iterator[object]:
            yield next(self._listing)
            raise OSError(number, os.strerror(number))

    def broken(path: object) -> object:
        named = isinstance(path, str | Path) and Path(path).name == where
        return Broken(path) if named else scandir(path)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        scan = lakeside.embed(corpus)
    assert scan.tally.deleted == (0 if where == "corpus" else 1)
    assert lakeside.rejects() == ["unreadable"]


def test_a_link_into_a_folder_that_cannot_be_entered_deletes_nothing(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "private" / "inner", 2)
    (corpus / "linked").symlink_to(tmp_path / "private" / "inner")
    lakeside.embed(corpus)
    (corpus / "linked").unlink()
    (corpus / "linked").symlink_to("linked")
    assert lakeside.embed(corpus).tally.deleted == 0
    assert len(lakeside.documents()) == MANY + 2
