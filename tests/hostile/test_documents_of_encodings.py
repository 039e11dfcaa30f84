"""Several encodings of one lake: a deletion or change of a source reaches all of them, and each is guarded."""

from __future__ import annotations

from pathlib import Path

from polyseme.tasks.engine import Engine
from tests.hostile.lakeside import MANY, Lakeside, corpus, lakeside, records

__all__ = ["corpus", "lakeside"]


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


def test_a_document_that_another_encoding_has_elsewhere_is_moved_there_and_not_deleted(
    lakeside: Lakeside, tiny: Engine, tmp_path: Path
) -> None:
    """As after `polyseme restore`: one encoding has it at an old address, and the disk with the new one is away."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    records(old / "a.jsonl", "x", "y")
    lakeside.embed(old, engine=tiny)
    records(old / "a.jsonl", "y")
    records(new / "a.jsonl", "x", "z")
    lakeside.embed(old, new, limit="100%")
    encoding_id = tiny.spec.encoding_id
    lakeside.catalog.move_documents(encoding_id, [("x", (old / "a.jsonl").as_uri())])
    new.rename(tmp_path / "unmounted")
    assert lakeside.embed(old, new).held_back
    assert lakeside.documents(tiny)["x"] == (new / "a.jsonl").as_uri()


def test_what_was_read_elsewhere_does_not_show_that_a_source_of_another_encoding_is_mounted(
    lakeside: Lakeside, tiny: Engine, tmp_path: Path
) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    for folder in (away, here):
        folder.mkdir()
    records(away / "a.jsonl", "x", "y", "z")
    lakeside.embed(away, engine=tiny)
    records(here / "a.jsonl", "x")
    lakeside.embed(here)
    lakeside.catalog.move_documents(tiny.spec.encoding_id, [("x", (away / "a.jsonl").as_uri())])
    away.rename(tmp_path / "unmounted")
    assert lakeside.embed(away, here).held_back
    assert sorted(lakeside.documents(tiny)) == ["x", "y", "z"]
