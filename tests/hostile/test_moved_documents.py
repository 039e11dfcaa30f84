"""Documents whose file or folder was moved, renamed, copied or linked: none vanishes, doubles or is encoded again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polyseme.tasks.engine import Engine
from tests.hostile.lakeside import MANY, Lakeside, corpus, fill, lakeside, records

__all__ = ["corpus", "lakeside"]


def test_a_folder_named_by_a_link_is_the_same_source(lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(corpus)
    lakeside.embed(corpus)
    for name in (tmp_path / "link", tmp_path / "link" / "*.txt", corpus / ".." / "link", f"file://{tmp_path}/link"):
        scan = lakeside.embed(name)
        assert (scan.tally.unchanged, len(lakeside.documents())) == (MANY, MANY)
    (corpus / "07.txt").unlink()
    assert lakeside.embed(tmp_path / "link").tally.deleted == 1


def test_a_folder_that_is_linked_into_another_source_does_not_double(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "other", 3)
    (corpus / "linked").symlink_to(tmp_path / "other")
    lakeside.embed(corpus)
    for source in (tmp_path / "other", corpus, tmp_path / "other"):
        scan = lakeside.embed(source)
        assert (scan.tally.new, scan.tally.deleted, len(lakeside.documents())) == (0, 0, MANY + 3)


@pytest.mark.parametrize("lines", [False, True], ids=["files", "records without ids"])
def test_a_renamed_folder_is_moved_and_not_encoded_again(
    lakeside: Lakeside, corpus: Path, tmp_path: Path, lines: bool
) -> None:
    if lines:
        shutil.rmtree(corpus)
        corpus.mkdir()
        rows = (json.dumps({"text": f"The heron {i}."}) + "\n" for i in range(MANY))
        (corpus / "a.jsonl").write_text("".join(rows))
    lakeside.embed(corpus)
    ids = set(lakeside.documents())
    for name in ("renamed", "again", "corpus"):
        moved = tmp_path / name
        next(p for p in tmp_path.iterdir() if p.name in ("corpus", "renamed", "again")).rename(moved)
        for changed in (MANY, 0):
            scan = lakeside.embed(moved)
            assert (scan.tally.unchanged, scan.tally.moved, scan.held_back) == (MANY, changed, [])
        assert set(lakeside.documents()) == ids
        assert all(uri.startswith(moved.as_uri() + "/") for uri in lakeside.documents().values())


def test_what_changes_and_goes_in_a_renamed_folder_is_the_same_documents(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    lakeside.embed(corpus)
    corpus.rename(tmp_path / "renamed")
    lakeside.embed(tmp_path / "renamed")
    (tmp_path / "renamed" / "03.txt").write_text("Another text.")
    (tmp_path / "renamed" / "04.txt").unlink()
    scan = lakeside.embed(tmp_path / "renamed")
    assert (scan.tally.changed, scan.tally.new, scan.tally.deleted) == (1, 0, 1)
    assert len(lakeside.documents()) == MANY - 1


def test_a_new_folder_at_the_old_place_gets_documents_of_its_own(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    lakeside.embed(corpus)
    corpus.rename(tmp_path / "renamed")
    lakeside.embed(tmp_path / "renamed")
    fill(corpus, 3)
    (corpus / "00.txt").write_text("Another text.")
    assert lakeside.embed(corpus).tally.new == 3
    for source in (tmp_path / "renamed", corpus):
        assert (lakeside.embed(source).tally.new, len(lakeside.documents())) == (0, MANY + 3)


def test_a_copy_is_another_document(lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
    lakeside.embed(corpus)
    shutil.copytree(corpus, tmp_path / "copy")
    assert lakeside.embed(tmp_path / "copy").tally.new == MANY
    assert len(lakeside.documents()) == 2 * MANY


def test_the_records_of_a_copy_that_changed_since_have_ids_of_one_file(lakeside: Lakeside, tmp_path: Path) -> None:
    """A file that was moved and copied back, with records added and dropped: never two files' ids at an address."""
    old, new = _in_two_folders(tmp_path)
    _without_ids(old, "The one.", "The two.", "The three.")
    lakeside.embed(old.parent, new.parent)
    old.rename(new)
    _without_ids(new, "The one.", "The three.", "The four.", "The five.")
    lakeside.embed(old.parent, new.parent, limit="100%")
    shutil.copy(new, old)
    _without_ids(new, "The one.", "The three.", "The four.", "The six.", "The seven.")
    lakeside.embed(old.parent, new.parent, limit="100%")
    _expect_one_file_each(lakeside, {old: 4, new: 5})
    old.unlink()
    lakeside.embed(old.parent, new.parent, limit="100%")
    _expect_one_file_each(lakeside, {new: 5})


@pytest.mark.parametrize("is_last", [False, True], ids=["read before it", "read after it"])
def test_a_broken_file_at_the_old_address_of_one_that_moved_does_not_take_its_documents(
    lakeside: Lakeside, tiny: Engine, tmp_path: Path, is_last: bool
) -> None:
    """The numbers of its refused records are those of a file of its own, whichever of the two is read first."""
    old, new = _in_two_folders(tmp_path)
    sources = (new.parent, old.parent) if is_last else (old.parent, new.parent)
    (new.parent / "a.txt").write_text("The heron stood.")  # stays closed, so that what is before it is compared first
    _without_ids(old, "The one.", "The two.", "The three.")
    lakeside.embed(*sources)
    old.rename(new)
    for engine in (lakeside.engine, tiny):
        lakeside.embed(*sources, engine=engine)
    had = lakeside.documents()
    assert [uri for doc_id, uri in had.items() if doc_id.startswith(old.as_uri())] == [new.as_uri()] * 3
    old.write_text('{"body": "The one."}\n' * 2)
    for _ in range(2):
        scan = lakeside.embed(*sources)
        assert (dict(scan.refused), scan.tally.new, scan.tally.deleted) == ({"missing-field": 2}, 0, 0)
        assert lakeside.documents() == lakeside.documents(tiny) == had
    _without_ids(old, "The one.", "The four.")
    assert lakeside.embed(*sources).tally.new == 2
    assert lakeside.documents().items() > had.items()


def test_a_file_that_another_encoding_has_is_not_taken_for_one_that_was_moved(
    lakeside: Lakeside, tiny: Engine, tmp_path: Path
) -> None:
    """To the run's encoding the file and the copy that was deleted are new: it is not the copy that was moved there."""
    file, copy = _in_two_folders(tmp_path)
    _without_ids(file, "The one.", "The two.")
    shutil.copy(file, copy)
    lakeside.embed(file.parent, copy.parent)
    copy.unlink()
    lakeside.embed(file.parent, copy.parent, limit="100%", engine=tiny)
    for engine in (tiny, lakeside.engine):
        _expect_one_file_each(lakeside, {file: 2}, engine)


def test_a_renamed_subfolder_is_moved(lakeside: Lakeside, corpus: Path) -> None:
    fill(corpus / "sub", 12)
    lakeside.embed(corpus)
    (corpus / "sub").rename(corpus / "bus")
    scan = lakeside.embed(corpus)
    assert (scan.tally.new, scan.tally.deleted, scan.held_back) == (0, 0, [])


@pytest.mark.parametrize(
    ("name", "content", "broken"),
    [("a.txt", "The heron stood.", ""), ("a.jsonl", '{"text": "The heron."}\n', '{"body": "The heron."}\n')],
)
def test_what_cannot_be_read_any_more_after_it_was_moved_stays(
    lakeside: Lakeside, tmp_path: Path, name: str, content: str, broken: str
) -> None:
    folder = tmp_path / "corpus"
    fill(folder, 3)
    (folder / name).write_text(content)
    lakeside.embed(folder)
    moved = folder.rename(tmp_path / "moved")
    lakeside.embed(moved)
    (moved / name).write_text(broken)
    assert (lakeside.embed(moved).tally.deleted, len(lakeside.documents())) == (0, 4)
    (moved / name).write_text(content)
    assert (lakeside.embed(moved).tally.unchanged, len(lakeside.documents())) == (4, 4)


@pytest.mark.parametrize("is_new", [False, True], ids=["changed", "new in the run's encoding"])
def test_a_record_that_was_moved_is_kept_when_another_encoding_misses_it_where_it_was(
    lakeside: Lakeside, tmp_path: Path, tiny: Engine, is_new: bool
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    fill(one, 12)
    fill(other, 12)
    records(one / "a.jsonl", "x")
    for engine in (lakeside.engine, tiny):
        lakeside.embed(one, engine=engine)
    if not is_new:
        lakeside.embed(other)
    (one / "a.jsonl").unlink()
    records(other / "a.jsonl", "x", text="The heron flew.")
    lakeside.embed(other)
    lakeside.embed(one, engine=tiny)
    assert "x" in lakeside.documents()
    assert "x" in lakeside.documents(tiny)


def _in_two_folders(place: Path) -> tuple[Path, Path]:
    """Return the paths of two files of one name in two new folders."""
    folders = place / "a", place / "b"
    for folder in folders:
        folder.mkdir()
    return folders[0] / "r.jsonl", folders[1] / "r.jsonl"


def _without_ids(path: Path, *texts: str) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def _expect_one_file_each(lakeside: Lakeside, lines: dict[Path, int], engine: Engine | None = None) -> None:
    """Expect so many documents at each address, with ids that begin alike, and none elsewhere."""
    ids: dict[str, list[str]] = {}
    for doc_id, uri in lakeside.documents(engine).items():
        ids.setdefault(uri, []).append(doc_id)
    assert {uri: len(of) for uri, of in ids.items()} == {path.as_uri(): n for path, n in lines.items()}
    assert all(len({doc_id.partition("#")[0] for doc_id in of}) == 1 for of in ids.values())
    assert lakeside.rejects() == []
