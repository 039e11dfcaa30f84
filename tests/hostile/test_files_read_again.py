"""What leads to reading a file again: ways in which one that was not opened could differ from one that was read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import document_versions
from polyseme.storage.database.staleness import mark_damaged
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import backup
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading import local_file, source_file
from polyseme.tasks.shards.scan import Scan
from tests.hostile import lakeside as lakeside_module
from tests.hostile.lakeside import MANY, Lakeside, corpus, lakeside, records
from tests.hostile.opened_files import kept, opened_by_a_run

__all__ = ["corpus", "lakeside"]


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
