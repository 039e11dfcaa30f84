"""Nothing vanishes, doubles or mixes if documents are shared, moved or renamed, or come through standard input."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.sources import read_sources, resolve
from tests.hostile.lakeside import MANY, Lakeside, corpus, fill, lakeside, records

__all__ = ["corpus", "lakeside"]


# The same document in two sources


def test_a_document_of_two_sources_that_one_drops_stays_until_the_other_drops_it(
    lakeside: Lakeside, tmp_path: Path
) -> None:
    one, other = records(tmp_path / "a.jsonl", "x", "y"), records(tmp_path / "b.jsonl", "x", "z")
    for source in (one, other, one):
        lakeside.embed(source)
    assert lakeside.documents()["x"] == one.as_uri()
    records(one, "y")
    assert lakeside.embed(one).tally.deleted == 0
    assert lakeside.documents()["x"] == other.as_uri()
    records(other, "z")
    assert lakeside.embed(other).tally.deleted == 1
    assert sorted(lakeside.documents()) == ["y", "z"]


def test_a_document_that_both_sources_dropped_goes_whichever_is_scanned_first(
    lakeside: Lakeside, tmp_path: Path
) -> None:
    one, other = records(tmp_path / "a.jsonl", "x", "y"), records(tmp_path / "b.jsonl", "x", "z")
    for source in (one, other):
        lakeside.embed(source)
    records(one, "y")
    records(other, "z")
    assert lakeside.embed(one).tally.deleted == 0
    assert lakeside.embed(other).tally.deleted == 1
    assert sorted(lakeside.documents()) == ["y", "z"]


def test_an_unmounted_source_does_not_lose_its_share_of_a_document(lakeside: Lakeside, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    one, other = records(tmp_path / "disk" / "a.jsonl", "x", "y"), records(tmp_path / "b.jsonl", "x", "z")
    for source in (one, other):
        lakeside.embed(source)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    lakeside.embed(tmp_path / "disk")
    records(other, "z")
    assert lakeside.embed(other).tally.deleted == 0
    assert sorted(lakeside.documents()) == ["x", "y", "z"]


def test_a_document_of_another_source_is_never_deleted(lakeside: Lakeside, tmp_path: Path) -> None:
    one, other = records(tmp_path / "a.jsonl", "x"), records(tmp_path / "b.jsonl", "z")
    lakeside.embed(one)
    assert lakeside.embed(other, limit="100%").tally.deleted == 0
    assert sorted(lakeside.documents()) == ["x", "z"]


# An id that is the address of another document


@pytest.mark.parametrize("name", ["0.jsonl", "z.jsonl"], ids=["read before it", "read after it"])
def test_a_record_whose_id_is_the_address_of_a_file_does_not_take_its_place(
    lakeside: Lakeside, corpus: Path, name: str
) -> None:
    victim = (corpus / "07.txt").as_uri()
    lakeside.embed(corpus)
    records(corpus / name, victim, "own", text="An impostor.")
    for _ in range(2):
        scan = lakeside.embed(corpus)
        assert dict(scan.refused) == {"bad-id": 1}
        assert lakeside.documents()[victim] == victim
    assert len(lakeside.documents()) == MANY + 1


def test_a_record_of_another_source_does_not_take_the_place_of_a_file_either(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    victim = (corpus / "07.txt").as_uri()
    lakeside.embed(corpus)
    assert dict(lakeside.embed(records(tmp_path / "r.jsonl", victim, text="An impostor.")).refused) == {"bad-id": 1}
    assert lakeside.documents()[victim] == victim


def test_a_record_does_not_take_the_place_of_a_record_without_an_id(lakeside: Lakeside, tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    rows: list[dict[str, str]] = [{"id": f"{source.as_uri()}#2", "text": "An impostor."}, {"text": "The second."}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scan = lakeside.embed(source)
    assert dict(scan.refused) == {"bad-id": 1}
    assert list(lakeside.documents()) == [f"{source.as_uri()}#2"]


# The same folder under another name


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


def test_a_renamed_subfolder_is_moved(lakeside: Lakeside, corpus: Path) -> None:
    fill(corpus / "sub", 12)
    lakeside.embed(corpus)
    (corpus / "sub").rename(corpus / "bus")
    scan = lakeside.embed(corpus)
    assert (scan.tally.new, scan.tally.deleted, scan.held_back) == (0, 0, [])


# Standard input


def test_two_inputs_through_standard_input_do_not_mix(lakeside: Lakeside) -> None:
    for text in (b"The first text.", b"The second text.", b"The first text."):
        lakeside.embed("-", stdin=text)
    assert len(lakeside.documents()) == 2
    for name in ("mail", "news"):
        lakeside.embed("-", stdin=b"A third text.", stdin_name=name)
    assert {"stdin:mail", "stdin:news"} <= set(lakeside.documents())


def test_a_named_input_replaces_what_it_had_before(lakeside: Lakeside) -> None:
    lakeside.embed("-", stdin=b"The first text.", stdin_name="mail")
    assert lakeside.embed("-", stdin=b"The second text.", stdin_name="mail").tally.changed == 1
    assert list(lakeside.documents()) == ["stdin:mail"]


def test_an_input_is_the_same_if_something_was_appended_to_it(lakeside: Lakeside) -> None:
    line = json.dumps({"text": "The heron stood in the reeds. " * 3000}).encode() + b"\n"
    lakeside.embed("-", stdin=line)
    scan = lakeside.embed("-", stdin=line + b'{"text": "One more."}\n')
    assert (scan.tally.unchanged, scan.tally.new) == (1, 1)


def test_an_input_that_breaks_off_is_a_reject_however_early() -> None:
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if data := super().read1(size if size is not None else -1):
                return data
            raise OSError(5, "Input/output error")

    for content in (b"", b"{"):
        (found,) = read_sources(resolve(["-"]), ReadOptions(), stdin=Broken(content))
        assert getattr(found, "code", None) == "unreadable"


@pytest.mark.parametrize("name", ["", "a b", "../x", "sha256-0011223344556677", "é"])
def test_a_name_of_standard_input_that_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--stdin-name"):
        resolve(["-"], stdin_name=name)


# Several encodings


def test_a_deletion_reaches_every_encoding(lakeside: Lakeside, corpus: Path, tiny: Engine, tmp_path: Path) -> None:
    lakeside.embed(corpus)
    (corpus / "00.txt").unlink()
    assert lakeside.embed(corpus, engine=tiny).tally.deleted == 1
    assert len(lakeside.documents()) == len(lakeside.documents(tiny)) == MANY - 1
    corpus.rename(tmp_path / "renamed")
    lakeside.embed(tmp_path / "renamed", engine=tiny)
    (tmp_path / "renamed" / "01.txt").unlink()
    assert lakeside.embed(tmp_path / "renamed", engine=tiny).tally.deleted == 1
    assert lakeside.documents() == lakeside.documents(tiny)


def test_a_change_is_outdated_in_the_other_encoding(lakeside: Lakeside, corpus: Path, tiny: Engine) -> None:
    for engine in (lakeside.engine, tiny):
        lakeside.embed(corpus, engine=engine)
    (corpus / "00.txt").write_text("Another text.")
    lakeside.embed(corpus, engine=tiny)
    found = lakeside.catalog.staleness()
    assert found[lakeside.engine.spec.encoding_id].outdated == 1
    assert found[tiny.spec.encoding_id].outdated == 0


def test_each_encoding_is_guarded(lakeside: Lakeside, corpus: Path, tiny: Engine) -> None:
    lakeside.embed(corpus)
    for i in range(12):
        (corpus / f"{i:02}.txt").unlink()
    scan = lakeside.embed(corpus, engine=tiny)
    assert [(h.encoding_id, h.documents) for h in scan.held_back] == [(lakeside.engine.spec.encoding_id, 12)]
    assert (len(lakeside.documents()), len(lakeside.documents(tiny))) == (MANY, MANY - 12)
    lakeside.embed(corpus, engine=tiny, limit="12")
    assert lakeside.documents() == lakeside.documents(tiny)


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


# A refused record that has the id of another


@pytest.mark.parametrize("name", ["0.jsonl", "z.jsonl"], ids=["read before it", "read after it"])
@pytest.mark.parametrize("of_file", [True, False], ids=["a file", "a record"])
def test_a_refused_record_does_not_keep_a_good_one_with_its_id_out(
    lakeside: Lakeside, corpus: Path, name: str, of_file: bool
) -> None:
    victim = (corpus / "07.txt").as_uri() if of_file else "x"
    records(corpus / name, victim, text="")
    records(corpus / "m.jsonl", "x")
    for _ in range(2):
        scan = lakeside.embed(corpus)
        assert dict(scan.refused) == {"empty-text": 1}
        assert len(lakeside.documents()) == MANY + 1
    (corpus / "07.txt").write_text("Something else.")
    records(corpus / "m.jsonl", "x", text="Something else.")
    assert lakeside.embed(corpus).tally.changed == 2


def test_a_good_record_behind_a_refused_one_with_its_id_counts_once(lakeside: Lakeside, tmp_path: Path) -> None:
    source = records(tmp_path / "a.jsonl", "x", "x")
    source.write_text('{"id": "x", "text": null}\n' + source.read_text())
    scan = lakeside.embed(source)
    assert (scan.tally.new, dict(scan.refused)) == (1, {"empty-text": 1, "duplicate-id": 1})
