"""Tables that lie in a folder, below a prefix or where a pattern leads: one reject each, and no file is read."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyseme.flows.server.listings import listed_changes
from polyseme.tasks.reading import local_file
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.tables.layout import ICEBERG, TABLE_IN_FOLDER, table_in
from polyseme.tasks.shards.scan import Scan
from tests.buckets import Bucket
from tests.hostile.lakeside import Lakeside, lakeside
from tests.hostile.test_tables import MANY, Delta, Iceberg, rows

__all__ = ["lakeside"]

TEXTS = 5


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "notes").mkdir(parents=True)
    for i in range(TEXTS):
        (folder / "notes" / f"{i}.txt").write_text(f"The heron stood beside reed {i}.")
    return folder


@pytest.fixture(params=["delta", "iceberg"])
def table(request: pytest.FixtureRequest, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A table in the corpus, of which a row was deleted."""
    made: Any = Delta(corpus) if request.param == "delta" else Iceberg(corpus, monkeypatch)
    made.delete("id = 3")
    yield made
    if request.param == "iceberg":
        made.close()


def refused(lakeside: Lakeside) -> list[tuple[str, str]]:
    found = lakeside.catalog.snapshot().rejects
    return list(zip(found["uri"].to_pylist(), found["code"].to_pylist(), strict=True))


def skipped(scan: Scan) -> dict[str, str]:
    return {part.example.rpartition("corpus/")[2]: part.reason for part in scan.skipped_files}


def counts(scan: Scan) -> tuple[int, int, int]:
    return scan.tally.documents, scan.tally.rejected, scan.tally.deleted


def read_as_files(lakeside: Lakeside, corpus: Path, away: Path) -> Delta:
    """Return a table whose files a run has read by themselves, and of which a row was deleted since."""
    delta = Delta(corpus)
    (delta.folder / "_delta_log").rename(away / "log")
    lakeside.embed(corpus)
    (away / "log").rename(delta.folder / "_delta_log")
    delta.delete("id = 3")
    return delta


@pytest.mark.extra
class TestFolders:
    @pytest.mark.parametrize("spec", ["", "**", "**/*.*", "*/**"])
    def test_a_table_is_one_reject_and_the_rest_is_read(
        self, lakeside: Lakeside, corpus: Path, table: Any, spec: str
    ) -> None:
        (table.folder / "README.md").write_text("What these rows are.")
        for _ in range(2):
            scan = lakeside.embed(f"{corpus}/{spec}")
            assert counts(scan) == (TEXTS, 1, 0)
            assert refused(lakeside) == [(f"{table.folder.as_uri()}/", TABLE_IN_FOLDER)]
        assert scan.tally.unopened == TEXTS
        assert all("/notes/" in uri for uri in lakeside.documents().values())

    def test_an_excluded_table_is_an_excluded_folder_and_its_reject_goes(
        self, lakeside: Lakeside, corpus: Path, table: Any
    ) -> None:
        lakeside.embed(corpus)
        inside = table.folder.relative_to(corpus)
        scan = lakeside.embed(corpus, patterns=Patterns(exclude=(f"/{inside}/",)))
        assert (counts(scan), refused(lakeside)) == ((TEXTS, 0, 0), [])
        assert skipped(scan)[f"{inside}/"] == "excluded-folder"

    @pytest.mark.parametrize(("spec", "include"), [("", ("*.txt",)), ("**/*.txt", ()), ("*", ()), ("notes", ())])
    def test_a_table_of_which_nothing_would_be_read_is_no_reject(
        self, lakeside: Lakeside, corpus: Path, table: Any, spec: str, include: tuple[str, ...]
    ) -> None:
        (corpus / "a.txt").write_text("It flew away.")
        scan = lakeside.embed(f"{corpus}/{spec}", patterns=Patterns(include=include))
        assert (scan.tally.rejected, refused(lakeside)) == (0, [])
        assert table.folder.exists()

    def test_rows_that_were_read_from_its_files_go_as_the_deletion_guard_lets_them(
        self, lakeside: Lakeside, corpus: Path, tmp_path: Path
    ) -> None:
        log = Delta(corpus).folder / "_delta_log"
        (log.parent / "picture.png").write_bytes(b"\x89PNG")
        (log.parent / "bad.json").write_text("{")
        log.rename(tmp_path / "log")
        lakeside.embed(corpus)
        assert (len(lakeside.documents()), lakeside.rejects()) == (TEXTS + MANY, ["bad-json"])
        (tmp_path / "log").rename(log)
        scan = lakeside.embed(corpus)
        assert counts(scan) == (TEXTS, 1, 0)
        assert [(held.documents, held.confirm_with) for held in lakeside.held()] == [(MANY, str(MANY))]
        assert (len(lakeside.documents()), lakeside.rejects()) == (TEXTS + MANY, [TABLE_IN_FOLDER])
        assert skipped(scan) == {}
        assert counts(lakeside.embed(corpus, limit="20")) == (TEXTS, 1, MANY)
        assert (len(lakeside.documents()), lakeside.held()) == (TEXTS, [])
        log.rename(tmp_path / "log")
        scan = lakeside.embed(corpus)
        assert (scan.tally.documents, scan.tally.deleted, lakeside.rejects()) == (TEXTS + MANY, 0, ["bad-json"])

    def test_a_few_of_them_go_at_once(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        delta = Delta(corpus)
        delta.delete("id > 1")
        shutil.rmtree(delta.folder)
        write(delta.folder, 2)
        (delta.folder / "_delta_log").rename(tmp_path / "log")
        lakeside.embed(corpus)
        (tmp_path / "log").rename(delta.folder / "_delta_log")
        assert counts(lakeside.embed(corpus)) == (TEXTS, 1, 2)

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_table_that_is_a_source_too_is_read_once_and_not_refused(
        self, lakeside: Lakeside, corpus: Path, table: Any, order: int
    ) -> None:
        sources = [corpus, table.folder if isinstance(table, Delta) else table.spec][::order]
        for _ in range(2):
            scan = lakeside.embed(*sources)
            assert counts(scan) == (TEXTS + MANY - 1, 0, 0)
        assert (scan.tally.unopened, refused(lakeside)) == (TEXTS + MANY - 1, [])
        assert "3" not in lakeside.documents()

    def test_rows_that_were_read_from_its_files_become_rows_of_the_table(
        self, lakeside: Lakeside, corpus: Path, tmp_path: Path
    ) -> None:
        delta = read_as_files(lakeside, corpus, tmp_path)
        scan = lakeside.embed(corpus, delta.folder)
        assert (scan.tally.new, scan.tally.redescribed, scan.tally.deleted) == (0, MANY - 1, 1)
        assert {uri for uri in lakeside.documents().values() if "/notes/" not in uri} == {delta.spec}

    def test_a_table_that_is_read_alone_keeps_its_rows_when_their_files_are_settled(
        self, lakeside: Lakeside, corpus: Path, tmp_path: Path
    ) -> None:
        delta = read_as_files(lakeside, corpus, tmp_path)
        lakeside.embed(delta.folder)
        assert lakeside.documents()["3"].startswith(delta.folder.as_uri())  # this run did not come to the files
        assert counts(lakeside.embed(corpus, limit="100%")) == (TEXTS, 1, 1)
        assert (len(lakeside.documents()), lakeside.held()) == (TEXTS + MANY - 1, [])
        delta.delete("id = 4")
        assert counts(lakeside.embed(delta.folder)) == (MANY - 2, 0, 1)

    def test_two_sources_that_have_a_table_refuse_it_once(self, lakeside: Lakeside, corpus: Path, table: Any) -> None:
        scan = lakeside.embed(corpus, f"{corpus}/**", table.folder.parent if table.folder.parent != corpus else corpus)
        assert counts(scan) == (TEXTS, 1, 0)

    def test_a_table_in_a_table_is_the_outer_ones(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        outer = Delta(corpus).folder
        shutil.copytree(outer, tmp_path / "inner")
        (tmp_path / "inner").rename(outer / "part=0" / "inner")
        assert counts(lakeside.embed(corpus)) == (TEXTS, 1, 0)
        assert refused(lakeside) == [(f"{outer.as_uri()}/", TABLE_IN_FOLDER)]

    def test_no_link_leads_into_a_table(self, lakeside: Lakeside, corpus: Path, tmp_path: Path) -> None:
        folder = Delta(corpus).folder
        (corpus / "link").symlink_to(folder / "part=0")
        scan = lakeside.embed(corpus)
        assert (counts(scan), skipped(scan)) == ((TEXTS, 1, 0), {"link/": "linked-folder"})

    def test_one_file_and_a_folder_that_are_named_in_a_table_are_read(self, lakeside: Lakeside, corpus: Path) -> None:
        delta = Delta(corpus)
        file = next(delta.folder.rglob("*.parquet"))
        assert lakeside.embed(file).tally.new == MANY // 2
        assert lakeside.embed(file.parent).tally.unopened == MANY // 2

    def test_a_pattern_right_in_a_table_is_its_reject(self, lakeside: Lakeside, corpus: Path, table: Any) -> None:
        assert counts(lakeside.embed(f"{table.folder}/**/*.parquet")) == (0, 1, 0)
        assert refused(lakeside) == [(f"{table.folder.as_uri()}/", TABLE_IN_FOLDER)]

    def test_no_file_of_it_is_opened(
        self, lakeside: Lakeside, corpus: Path, table: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = []
        real = local_file.read_file
        monkeypatch.setattr(local_file, "read_file", lambda path, *a, **k: opened.append(path) or real(path, *a, **k))
        lakeside.embed(corpus)
        assert sorted(path.name for path in opened) == [f"{i}.txt" for i in range(TEXTS)]
        assert table.folder.exists()


def write(folder: Path, many: int) -> None:
    from deltalake import write_deltalake

    write_deltalake(folder, rows(*range(many)))


def test_a_folder_that_is_only_called_metadata_is_read(lakeside: Lakeside, corpus: Path) -> None:
    for name in ("metadata/a.txt", "metadata/a.json", "_delta_log.txt", "notes/_delta_log", "deep/x/metadata/b.txt"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_text('{"text": "The heron stood here."}')
    scan = lakeside.embed(corpus)
    assert counts(scan) == (TEXTS + 5, 0, 0)


@pytest.mark.parametrize("name", ["v1.metadata.json", "00001-a.gz.metadata.json", "version-hint.text"])
def test_the_files_of_iceberg_are_enough_for_a_source_and_for_what_lies_in_one(
    lakeside: Lakeside, corpus: Path, name: str
) -> None:
    (corpus / "table" / "metadata").mkdir(parents=True)
    (corpus / "table" / "metadata" / name).write_text("{}")
    (corpus / "table" / "a.json").write_text('{"text": "The heron stood here."}')
    assert table_in(f"{corpus}/table") == ICEBERG
    assert counts(lakeside.embed(corpus)) == (TEXTS, 1, 0)


@pytest.mark.servers
@pytest.mark.extra
class TestStores:
    @pytest.fixture
    def source(self, bucket: Bucket, corpus: Path, table: Any) -> str:
        bucket.put({f"c/{path.relative_to(corpus)}": path.read_bytes() for path in corpus.rglob("*") if path.is_file()})
        return f"s3://{bucket.name}/c/"

    @pytest.fixture
    def place(self, source: str, corpus: Path, table: Any) -> str:
        return f"{source}{table.folder.relative_to(corpus)}/"

    @pytest.mark.parametrize("spec", ["", "**", "**/*.*"])
    def test_a_table_is_one_reject_and_the_rest_is_read(
        self, lakeside: Lakeside, source: str, place: str, spec: str
    ) -> None:
        for _ in range(2):
            assert counts(lakeside.embed(source + spec)) == (TEXTS, 1, 0)
            assert refused(lakeside) == [(place, TABLE_IN_FOLDER)]

    def test_what_reads_nothing_of_it_does_not_refuse_it(self, lakeside: Lakeside, source: str, place: str) -> None:
        assert counts(lakeside.embed(f"{source}**/*.txt")) == (TEXTS, 0, 0)
        assert counts(lakeside.embed(source, patterns=Patterns(include=("*.txt",)))) == (TEXTS, 0, 0)

    def test_an_excluded_table_is_an_excluded_folder_and_its_reject_goes(
        self, lakeside: Lakeside, source: str, place: str
    ) -> None:
        lakeside.embed(source)
        inside = place.removeprefix(source)
        scan = lakeside.embed(source, patterns=Patterns(exclude=(f"/{inside}",)))
        assert (counts(scan), refused(lakeside)) == ((TEXTS, 0, 0), [])
        assert [s.example for s in scan.skipped_files if s.reason == "excluded-folder"] == [place]

    def test_rows_that_were_read_from_its_files_go_as_the_deletion_guard_lets_them(
        self, lakeside: Lakeside, bucket: Bucket, corpus: Path
    ) -> None:
        write(corpus / "table", MANY)
        files = {f"c/{path.relative_to(corpus)}": path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
        bucket.put({key: body for key, body in files.items() if "_delta_log" not in key})
        source = f"s3://{bucket.name}/c/"
        assert lakeside.embed(source).tally.new == TEXTS + MANY
        bucket.put(files)
        assert counts(lakeside.embed(source)) == (TEXTS, 1, 0)
        assert [held.documents for held in lakeside.held()] == [MANY]
        assert counts(lakeside.embed(source, limit=str(MANY))) == (TEXTS, 1, MANY)

    def test_watching_goes_on_beside_a_table_and_says_nothing_of_its_files(
        self, bucket: Bucket, source: str, place: str
    ) -> None:
        stop, failures = threading.Event(), list[str]()
        changes = listed_changes(lambda: resolve([source]), seconds=0, stop=stop, on_failure=failures.append)
        assert next(changes) == {}
        bucket.put({f"{place.split('/', 3)[3]}new.parquet": b"PAR1", "c/new.txt": b"A text."})
        assert list(next(changes)) == [f"{source}new.txt"]
        stop.set()
        assert (list(changes), failures) == ([], [])
