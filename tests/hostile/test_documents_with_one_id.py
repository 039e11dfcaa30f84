"""Documents that have an id or a source in common: none takes the place of another, or goes while a source has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hostile.lakeside import MANY, Lakeside, corpus, lakeside, records

__all__ = ["corpus", "lakeside"]


# The same document in two sources


@pytest.mark.parametrize("runs", [["a", "b", "a"], ["ab"]], ids=["one after the other", "at once"])
def test_a_document_of_two_sources_that_one_drops_stays_until_the_other_drops_it(
    lakeside: Lakeside, tmp_path: Path, runs: list[str]
) -> None:
    one, other = records(tmp_path / "a.jsonl", "x", "y"), records(tmp_path / "b.jsonl", "x", "z")
    for names in runs:
        lakeside.embed(*(tmp_path / f"{name}.jsonl" for name in names))
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


# Such an id, and the file has moved


@pytest.mark.parametrize("order", ["r", "rc", "cr"], ids=["alone", "before the file", "after the file"])
def test_a_record_does_not_take_the_place_of_a_file_that_was_moved(
    lakeside: Lakeside, corpus: Path, tmp_path: Path, order: str
) -> None:
    victim = (corpus / "07.txt").as_uri()
    lakeside.embed(corpus)
    (moved := corpus / "read").mkdir()
    (corpus / "07.txt").rename(moved / "07.txt")
    lakeside.embed(corpus)
    sources = {"c": moved, "r": records(tmp_path / "r.jsonl", victim, text="An impostor.")}
    for _ in range(2):
        assert dict(lakeside.embed(*(sources[name] for name in order)).refused) == {"bad-id": 1}
        assert lakeside.documents()[victim] == (moved / "07.txt").as_uri()
    assert len(lakeside.documents()) == MANY


def test_a_record_with_the_address_of_its_file_as_its_id_keeps_it_when_that_moves(
    lakeside: Lakeside, corpus: Path
) -> None:
    source = corpus / "a.json"
    source.write_text(json.dumps({"id": source.as_uri(), "text": "A heron."}))
    lakeside.embed(corpus)
    (corpus / "read").mkdir()
    now = source.rename(corpus / "read" / "a.json")
    for moved in (1, 0):
        scan = lakeside.embed(corpus)
        assert (scan.tally.moved, scan.tally.new, scan.tally.deleted, dict(scan.refused)) == (moved, 0, 0, {})
        assert lakeside.documents()[source.as_uri()] == now.as_uri()


@pytest.mark.parametrize("other", ["/a/x.txt", "/z/x.txt"])
def test_an_address_as_the_id_of_one_record_is_not_that_of_its_file(
    lakeside: Lakeside, corpus: Path, other: str
) -> None:
    source = corpus / "a.jsonl"
    rows = [{"id": f"file://{other}", "text": "The first."}, {"text": "The second."}]

    def write(path: Path) -> None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(source)
    lakeside.embed(corpus)
    (corpus / "read").mkdir()
    now = source.rename(corpus / "read" / "a.jsonl")
    lakeside.embed(corpus)
    rows[1]["text"] = "The second, changed."
    rows.append({"text": "The third."})
    write(now)
    scan = lakeside.embed(corpus)
    assert (scan.tally.changed, scan.tally.new, scan.tally.deleted) == (1, 1, 0)
    ids = {doc_id for doc_id, uri in lakeside.documents().items() if uri == now.as_uri()}
    assert ids == {f"file://{other}", f"{source.as_uri()}#2", f"{source.as_uri()}#3"}


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


def test_a_refused_record_does_not_keep_the_ids_of_a_file_that_was_moved_from_it(
    lakeside: Lakeside, corpus: Path, tmp_path: Path
) -> None:
    lakeside.embed(corpus)
    moved = corpus.rename(tmp_path / "moved")
    corpus.mkdir()
    lakeside.embed(corpus, moved)
    had = lakeside.documents()
    (moved / "20.txt").write_text("Something else.")
    records(corpus / "0.jsonl", (corpus / "20.txt").as_uri(), text="")
    scan = lakeside.embed(corpus, moved)
    assert (scan.tally.new, scan.tally.changed, dict(scan.refused)) == (0, 1, {"empty-text": 1})
    assert lakeside.documents() == had


def test_a_good_record_behind_a_refused_one_with_its_id_counts_once(lakeside: Lakeside, tmp_path: Path) -> None:
    source = records(tmp_path / "a.jsonl", "x", "x")
    source.write_text('{"id": "x", "text": null}\n' + source.read_text())
    scan = lakeside.embed(source)
    assert (scan.tally.new, dict(scan.refused)) == (1, {"empty-text": 1, "duplicate-id": 1})
