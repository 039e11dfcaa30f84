"""Files that are not opened because nothing changed: which they are, and that a run is the same as if it read them."""

from __future__ import annotations

import json
import os
import random
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import document_versions, files
from polyseme.storage.database.staleness import mark_damaged
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import backup
from polyseme.storage.maintenance.vacuum import GRACE, vacuum
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading import local_file, source_file
from polyseme.tasks.reading.parsing import pool
from polyseme.tasks.shards import unopened_files
from polyseme.tasks.shards.scan import Scan
from tests.document_files import docx, zipped
from tests.hostile import lakeside as lakeside_module
from tests.hostile.lakeside import MANY, Lakeside, corpus, fill, lakeside, records

__all__ = ["corpus", "lakeside"]

_listening: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listening:
        _listening[-1].append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def opens(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the files in a folder that are opened, in order; complete at the end."""
    found, opened = list[str](), list[str]()
    _listening.append(opened)
    try:
        yield found
    finally:
        _listening.remove(opened)
        found += [path.removeprefix(f"{folder}/") for path in opened if path.startswith(f"{folder}/")]


def opened_by_a_run(lakeside: Lakeside, folder: Path, *sources: object, **options: Any) -> tuple[list[str], Scan]:
    with opens(folder) as found:
        scan = lakeside.embed(*(sources or (folder,)), **options)
    return sorted(set(found)), scan


def live(lakeside: Lakeside) -> list[tuple[Any, ...]]:
    """Return what the catalog has of each document of every encoding, but for when."""
    d = document_versions.c
    query = select(d.encoding_id, d.doc_id, d.uri, d.record_sha256, d.outputs).where(d.deleted.is_(False))
    with lakeside.catalog.reading() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


def kept(lakeside: Lakeside) -> int:
    with lakeside.catalog.reading() as connection:
        return len(connection.execute(select(files.c.uri)).all())


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


@contextmanager
def unlike(target: object, name: str, value: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(target, name, value)
        yield


class TestWhatLeadsToReading:
    """Ways in which a file that was not opened could differ from one that was read."""

    def rewrite(self, path: Path, text: str) -> None:
        """Change a file without a change of its size or time."""
        before = path.stat()
        assert len(text) == before.st_size
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def test_content_of_the_same_size_and_time(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        self.rewrite(corpus / "07.txt", "The heron flew over reeds.")
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (opened, scan.tally.changed) == (["07.txt"], 1)

    def test_another_file_of_the_same_size_and_time_in_its_place(
        self, lakeside: Lakeside, corpus: Path, tmp_path: Path
    ) -> None:
        other, path = tmp_path / "other", corpus / "07.txt"
        other.write_text("The heron flew over reeds.")
        stat = path.stat()
        os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        lakeside.embed(corpus)
        other.rename(path)
        assert opened_by_a_run(lakeside, corpus)[1].tally.changed == 1

    def test_a_link_that_leads_elsewhere(self, lakeside: Lakeside, tmp_path: Path) -> None:
        folder = tmp_path / "links"
        for name, text in (("one", "A heron."), ("two", "A crane.")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.txt").write_text(text)
            os.utime(tmp_path / name / "a.txt", (5, 5))
        folder.mkdir()
        (folder / "here").symlink_to(tmp_path / "one")
        lakeside.embed(folder)
        (folder / "here").unlink()
        (folder / "here").symlink_to(tmp_path / "two")
        assert lakeside.embed(folder).tally.changed == 1

    def test_a_file_that_was_written_just_before(
        self, lakeside: Lakeside, corpus: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local_file, "SETTLED_NS", int(60e9))
        lakeside.embed(corpus)
        assert len(opened_by_a_run(lakeside, corpus)[0]) == MANY

    def test_a_file_that_changes_while_it_is_read(
        self, lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "records"
        folder.mkdir()
        path = records(folder / "a.jsonl", "a", "b")
        take = Scan._taken

        def edited(self: Scan, item: Any) -> Any:
            os.utime(path, (7, 7))
            return take(self, item)

        with unlike(Scan, "_taken", edited):
            lakeside.embed(folder)
        assert kept(lakeside) == 0
        assert opened_by_a_run(lakeside, folder)[0] == ["a.jsonl"]

    @pytest.mark.parametrize(
        "options",
        [{"text_field": "title"}, {"id_field": "other"}, {"title_field": "h"}, {"delimiter": ";"}, {"header": False},
         {"max_line_bytes": 10_000}],
        ids=lambda o: next(iter(o)),
    )  # fmt: skip
    def test_other_options(self, lakeside: Lakeside, corpus: Path, options: dict[str, Any]) -> None:
        lakeside.embed(corpus)
        assert len(opened_by_a_run(lakeside, corpus, **options)[0]) == MANY

    def test_another_release_of_what_reads(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        with unlike(source_file, "_releases", lambda: {"polyseme": "9"}):
            assert len(opened_by_a_run(lakeside, corpus)[0]) == MANY

    def test_outputs_that_the_lake_does_not_have(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        opened, scan = opened_by_a_run(lakeside, corpus, outputs=Outputs("words", None, nsp=False))
        assert (len(opened), scan.tally.changed) == (MANY, MANY)
        assert opened_by_a_run(lakeside, corpus)[0] == []  # the lake has more than is asked for

    def test_another_encoding(self, lakeside: Lakeside, corpus: Path) -> None:
        other_engine = Engine(replace(lakeside.engine.config, pooling="cls"))
        lakeside.embed(corpus)
        opened, scan = opened_by_a_run(lakeside, corpus, engine=other_engine)
        assert (len(opened), scan.tally.new) == (MANY, MANY)
        assert opened_by_a_run(lakeside, corpus, engine=other_engine)[0] == []
        assert opened_by_a_run(lakeside, corpus)[0] == []

    def test_documents_that_never_reached_the_catalog(self, lakeside: Lakeside, corpus: Path) -> None:
        with unlike(lakeside_module, "commit_shard", lambda result, catalog: None):
            lakeside.embed(corpus)
        assert kept(lakeside) == MANY
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (len(opened), scan.tally.new) == (MANY, MANY)

    def test_a_document_that_was_deleted(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        uri = (corpus / "07.txt").as_uri()
        lakeside.catalog.delete_documents(lakeside.engine.spec.encoding_id, [uri], version=99)
        with lakeside.catalog.writing() as connection:  # the fence is not what is tested
            connection.execute(update(document_versions).where(document_versions.c.doc_id == uri).values(version=1))
        assert opened_by_a_run(lakeside, corpus)[0] == ["07.txt"]

    def test_a_document_that_a_repair_marked(self, lakeside: Lakeside, corpus: Path) -> None:
        lakeside.embed(corpus)
        with lakeside.catalog.writing() as connection:
            mark_damaged(connection, lakeside.engine.spec.encoding_id, [(corpus / "07.txt").as_uri()])
        opened, scan = opened_by_a_run(lakeside, corpus)
        assert (opened, scan.tally.changed) == (["07.txt"], 1)

    def test_a_document_that_is_elsewhere_now(self, lakeside: Lakeside, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        for folder in (one, two):
            folder.mkdir()
            records(folder / "a.jsonl", "a", "b")
        lakeside.embed(one)
        lakeside.embed(two)
        opened, scan = opened_by_a_run(lakeside, one)
        assert (opened, scan.tally.moved) == (["a.jsonl"], 2)

    def test_an_earlier_catalog(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        lakeside.embed(corpus)
        backup.backup(lakeside.catalog, Lake(tmp_path / "copy"))
        (corpus / "07.txt").write_text("The heron flew away.")
        (corpus / "new.txt").write_text("A reed.")
        lakeside.embed(corpus)
        lakeside.catalog.close()
        backup.restore(Lake(tmp_path / "copy"), lakeside.catalog.lake, replace=True)
        with Catalog.open(lakeside.catalog.lake) as restored:
            opened, scan = opened_by_a_run(Lakeside(restored, lakeside.engine, first=50), corpus)
            assert (opened, scan.tally.new, scan.tally.changed) == (["07.txt", "new.txt"], 1, 1)

    def test_an_id_that_an_earlier_file_has_now(self, lakeside: Lakeside, tmp_path: Path) -> None:
        folder = tmp_path / "records"
        folder.mkdir()
        records(folder / "a.jsonl", "a")
        records(folder / "b.jsonl", "b", "c")
        lakeside.embed(folder)
        records(folder / "a.jsonl", "a", "c", text="The heron flew away.")
        opened, scan = opened_by_a_run(lakeside, folder)
        assert (opened, dict(scan.refused)) == (["a.jsonl", "b.jsonl"], {"duplicate-id": 1})
        assert lakeside.documents()["c"] == (folder / "a.jsonl").as_uri()
        assert opened_by_a_run(lakeside, folder)[0] == ["b.jsonl"]
        records(folder / "a.jsonl", "a")
        assert opened_by_a_run(lakeside, folder)[0] == ["a.jsonl", "b.jsonl"]
        assert lakeside.documents()["c"] == (folder / "b.jsonl").as_uri()

    def test_a_duplicate_is_refused_by_every_run(self, lakeside: Lakeside, tmp_path: Path) -> None:
        folder = tmp_path / "records"
        folder.mkdir()
        records(folder / "a.jsonl", "a")
        records(folder / "b.jsonl", "a", "b")
        for _ in range(3):
            opened, scan = opened_by_a_run(lakeside, folder)
            assert (dict(scan.refused), lakeside.rejects()) == ({"duplicate-id": 1}, ["duplicate-id"])
        assert opened == ["b.jsonl"]

    def test_a_file_of_which_something_is_refused(self, lakeside: Lakeside, corpus: Path) -> None:
        (corpus / "a.jsonl").write_text('{"id": "a", "text": "A heron."}\nnot JSON\n')
        (corpus / "empty.txt").touch()
        for _ in range(3):
            opened, scan = opened_by_a_run(lakeside, corpus)
            assert sorted(lakeside.rejects()) == sorted(scan.refused) == ["bad-json", "empty-file"]
        assert opened == ["a.jsonl", "empty.txt"]

    def test_a_record_whose_id_is_an_address(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        records(other / "a.jsonl", (corpus / "x.txt").as_uri())
        lakeside.embed(other)
        assert opened_by_a_run(lakeside, other)[0] == ["a.jsonl"]
        assert dict(lakeside.embed(other, corpus).refused) == {"bad-id": 1}

    def test_standard_input_is_read_every_time(self, lakeside: Lakeside) -> None:
        for _ in range(2):
            scan = lakeside.embed("-", stdin=b'{"id": "a", "text": "A heron."}\n')
        assert (scan.tally.unchanged, scan.tally.unopened, kept(lakeside)) == (1, 0, 0)


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
