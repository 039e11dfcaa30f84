"""Files that are not opened because nothing changed: which they are, and that a run is the same as if it read them."""

from __future__ import annotations

import json
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.staleness import mark_damaged
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.vacuum import GRACE, vacuum
from polyseme.storage.sql.connection import connect
from polyseme.tasks.reading.parsing import pool
from polyseme.tasks.shards import unopened_files
from tests.document_files import docx, zipped
from tests.hostile.lakeside import MANY, Lakeside, corpus, fill, lakeside, records
from tests.hostile.opened_files import kept, live, opened_by_a_run

__all__ = ["corpus", "lakeside"]


class TestNothingChanged:
    def test_no_file_is_opened_and_every_document_is_counted(self, lakeside: Lakeside, corpus: Path) -> None:
        first = lakeside.embed(corpus).tally
        assert (first.new, first.unopened) == (MANY, 0)
        before = live(lakeside)
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert opened == []
        tally = scan.tally
        assert (tally.documents, tally.unchanged, tally.unopened, tally.deleted) == (MANY, MANY, MANY, 0)
        assert live(lakeside) == before

    def test_only_what_changed_and_is_new_is_opened(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        (corpus / "07.txt").write_text("The heron flew away.")
        (corpus / "new.txt").write_text("A reed.")
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert opened == ["07.txt", "new.txt"]
        assert (scan.tally.new, scan.tally.changed, scan.tally.unopened) == (1, 1, MANY - 1)

    def test_what_is_gone_is_deleted(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        (corpus / "07.txt").unlink()
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (opened, scan.tally.deleted, scan.tally.unopened) == ([], 1, MANY - 1)

    def test_what_is_skipped_of_a_file_that_stays_closed_is_counted_again(
        self, lakeside: Lakeside, corpus: Path
    ) -> None:
        with zipfile.ZipFile(corpus / "a.zip", "w") as archive:
            for name in ("b.txt", "c.png", "d.png", "e/.f.txt"):
                archive.writestr(name, f"Text of {name}.")
        (corpus / "binary").write_bytes(bytes(range(256)))
        (corpus / "settings.json").write_text('{"strict": true}')
        first = lakeside.embed(corpus)
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert opened == []
        assert (scan.tally.unopened, scan.tally.skipped_files) == (MANY + 1, first.tally.skipped_files) == (MANY + 1, 5)
        assert scan.skipped_files == first.skipped_files
        assert {(one.extension, one.reason, one.files) for one in scan.skipped_files} == {
            (".png", "not-a-text-format", 2), (".txt", "hidden", 1), ("", "binary", 1),
            (".json", "not-a-text-format", 1),
        }  # fmt: skip

    def test_checksum_opens_every_file(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        opened, scan = opened_by_a_run(lakeside, corpus, checksum=True)
        assert (len(opened), scan.tally.unchanged, scan.tally.unopened) == (MANY, MANY, 0)

    def test_a_touched_file_is_opened_once_and_no_document_is_rewritten(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        before = live(lakeside)
        os.utime(corpus / "07.txt", (1, 1))
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (opened, scan.tally.unchanged, scan.tally.redescribed) == (["07.txt"], MANY, 0)
        assert opened_by_a_run(lakeside, corpus)[0] == []
        assert live(lakeside) == before

    @pytest.mark.parametrize("most", [1000, 3], ids=["held", "too many to hold"])
    def test_a_file_of_records_stays_closed(
        self, lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        monkeypatch.setattr(unopened_files, "MOST_HELD", most)
        folder = tmp_path / "records"
        folder.mkdir()
        records(folder / "a.jsonl", *"abcdefgh")
        (folder / "b.jsonl").write_text('{"text": "A heron."}\n{"text": "A reed."}\n')
        lakeside.embed(folder)
        opened, scan = opened_by_a_run(lakeside, folder)
        assert (opened, scan.tally.unchanged, scan.tally.unopened) == ([], 10, 10)

    def test_a_renamed_folder_is_read_once_and_then_stays_closed(
        self, lakeside: Lakeside, corpus: Path, tmp_path: Path
    ) -> None:
        lakeside.embed(corpus)
        ids = set(lakeside.documents())
        corpus = corpus.rename(tmp_path / "renamed")
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (len(opened), scan.tally.moved) == (MANY, MANY)
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (opened, scan.tally.unopened, set(lakeside.documents())) == ([], MANY, ids)

    def test_sources_that_overlap_count_a_file_once(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(corpus)
        lakeside.embed(corpus)
        opened, scan = opened_by_a_run(lakeside, corpus, corpus / "0*.txt", tmp_path / "link", corpus / "07.txt")
        assert (opened, scan.tally.unchanged, scan.tally.unopened, scan.tally.rejected) == ([], MANY, MANY, 0)

    def test_each_source_has_the_tally_it_has_when_it_is_read(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        sources = [corpus / "0*.txt", corpus]
        tallies = [lakeside.embed(*sources, by_source=True, checksum=read).of_sources for read in (False, True)]
        found = [[asdict(t) | {"unopened": 0} for t in of.tallies] for of in tallies if of is not None]
        assert found[0] == found[1]
        assert [t["unchanged"] for t in found[0]] == [10, MANY - 10]


def test_a_large_file_whose_documents_changed_in_the_catalog_is_read(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unopened_files, "MOST_HELD", 3)
    folder = tmp_path / "records"
    folder.mkdir()
    records(folder / "a.jsonl", *"abcdefgh")
    lakeside.embed(folder)
    with lakeside.catalog.writing() as connection:
        mark_damaged(connection, lakeside.engine.spec.encoding_id, ["d"])
    opened, scan = opened_by_a_run(lakeside, folder)
    assert (opened, scan.tally.changed, scan.tally.unchanged) == (["a.jsonl"], 1, 7)


def test_documents_of_an_archive_that_is_read_after_all_are_parsed_by_few_processes(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, started = tmp_path / "in", list[Path]()
    folder.mkdir()
    (folder / "a.zip").write_bytes(zipped({f"{n}.docx": docx() for n in range(5)}))
    lakeside.embed(folder)
    with lakeside.catalog.writing() as connection:
        mark_damaged(connection, lakeside.engine.spec.encoding_id, [f"{(folder / 'a.zip').as_uri()}!/3.docx"])
    make = pool._Process
    monkeypatch.setattr(pool, "_Process", lambda: (started.append(folder), make())[1])
    assert lakeside.embed(folder).tally.changed == 1
    assert len(started) == 1


def test_vacuum_forgets_files_that_have_no_documents(lakeside: Lakeside, corpus: Path) -> None:
    lakeside.embed(corpus)
    (corpus / "07.txt").unlink()
    lakeside.embed(corpus)
    assert kept(lakeside) == MANY
    vacuum(lakeside.catalog, grace=GRACE, now=datetime.now(UTC))
    assert kept(lakeside) == MANY - 1
    assert opened_by_a_run(lakeside, corpus)[0] == []


@pytest.mark.parametrize("seed", range(6))
def test_a_lake_whose_runs_open_only_what_changed_is_the_one_whose_runs_read_everything(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Random edits of files and records whose ids wander, embedded after each by two lakes from sources that vary."""
    monkeypatch.setattr(unopened_files, "MOST_HELD", 4)
    monkeypatch.setattr(unopened_files, "FILES_A_LOOKUP", 5)
    chance, folder = random.Random(seed), tmp_path / "corpus"
    fill(folder / "texts", 6)
    unopened = 0
    with Catalog.create_or_open(Lake(tmp_path / "other")) as catalog:
        reading = Lakeside(catalog, lakeside.engine)
        for _ in range(12):
            for _ in range(chance.randrange(3)):
                _edit(folder, chance)
            sources = chance.choice([[folder], [folder], [folder / "texts", folder], [folder / "texts"]])
            lazy, eager = (lake.embed(*sources, limit="100%", checksum=lake is reading) for lake in (lakeside, reading))
            unopened += lazy.tally.unopened
            assert asdict(lazy.tally) | {"unopened": 0} == asdict(eager.tally)
            assert lazy.refused == eager.refused
            assert live(lakeside) == live(reading)
            assert sorted(lakeside.rejects()) == sorted(reading.rejects())
    assert unopened > 20


def _edit(folder: Path, chance: random.Random) -> None:
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    name = folder / chance.choice(["texts", "."]) / chance.choice(["a.jsonl", "b.jsonl", "c.txt", "d.txt", "07.txt"])
    text = f"The heron stood in reed {chance.randrange(4)}."
    edits: dict[str, Callable[[], object]] = {
        "text": lambda: name.with_suffix(".txt").write_text(text),
        "records": lambda: records(name.with_suffix(".jsonl"), *chance.choices("abcdefgh", k=6), text=text),
        "positions": lambda: name.with_suffix(".jsonl").write_text(f"{json.dumps({'text': text})}\n" * 3),
        "bad": lambda: name.with_suffix(".jsonl").write_text("no JSON\n"),
        "touch": lambda: chance.choice(found).touch(),
        "rename": lambda: (old := chance.choice(found)).rename(name.with_suffix(old.suffix)),
        "remove": lambda: chance.choice(found).unlink(),
        "folder": lambda: (folder / "texts").rename(folder / "moved").rename(folder / "texts2"),
        "back": lambda: (folder / "texts2").rename(folder / "texts"),
    }
    what = chance.choice(list(edits))
    if what == "folder" and (folder / "texts2").exists():
        return
    if what == "back" and (not (folder / "texts2").exists() or (folder / "texts").exists()):
        return
    (folder / "texts").mkdir(exist_ok=what not in ("back",)) if what not in ("back", "folder") else None
    if found or what not in ("touch", "rename", "remove"):
        edits[what]()
    (folder / "texts").mkdir(exist_ok=True)


def test_a_document_has_the_place_size_and_time_of_its_file(lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
    path = corpus / "a b.txt"
    path.write_text("A heron.")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    query = "SELECT path, filename, extension, bytes, epoch(modified_at) FROM documents WHERE filename = 'a b.txt'"

    def found() -> list[tuple[Any, ...]]:
        with connect(lakeside.catalog.lake.root) as con:
            return con.execute(query).fetchall()

    lakeside.embed(corpus, "-", stdin=b'{"id": "x", "text": "A reed."}\n')
    assert found() == [(str(path), "a b.txt", "txt", 8, 1_700_000_000.0)]
    path.touch()
    assert lakeside.embed(corpus).tally.redescribed == 0
    assert found() == [(str(path), "a b.txt", "txt", 8, 1_700_000_000.0)], "as the file was read"
    moved = corpus.rename(tmp_path / "moved")
    lakeside.embed(moved)
    assert [row[0] for row in found()] == [str(moved / "a b.txt")]
    path = moved / "a b.txt"
    path.write_text("---\ntitle: A\n---\nA heron.")
    assert lakeside.embed(moved).tally.changed == 1
    assert found()[0][3] == path.stat().st_size
    with connect(lakeside.catalog.lake.root) as con:
        nothing = con.execute("SELECT path, filename, modified_at, bytes FROM documents WHERE doc_id = 'x'").fetchall()
    assert nothing == [(None,) * 4]
