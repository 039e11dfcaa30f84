"""A lake's files: an object store gives the same guarantees as a folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.files.local import LocalFiles
from polyseme.storage.files.protocol import Files
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.quarantine import repair
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish, published
from tests import lakes, processes

SPEC = lakes.make_spec()
AT_ONCE, HOUR = timedelta(0), timedelta(hours=1)
SOON = timedelta(minutes=1)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    root = str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("s3_root")
    lake = Lake(root)
    lake.create()
    return lake.files


def put(files: Files, path: str, content: bytes) -> None:
    with files.new(path) as made:
        made.write_bytes(content)


def get(files: Files, path: str) -> bytes:
    with files.fetched(path) as found:
        return found.read_bytes()


class TestFiles:
    def test_a_new_file_takes_the_place_of_the_old_one_whole(self, files: Files) -> None:
        put(files, "data/a", b"old")
        put(files, "data/a", b"new and longer")
        assert get(files, "data/a") == b"new and longer"

    def test_what_fails_halfway_leaves_everything_as_it_was(self, files: Files) -> None:
        put(files, "data/a", b"old")

        def fail(path: str) -> None:
            with files.new(path) as made:
                made.write_bytes(b"half")
                raise RuntimeError("the encoder died")

        for path in ("data/a", "data/b"):
            with pytest.raises(RuntimeError):
                fail(path)
        assert get(files, "data/a") == b"old"
        assert [f.path for f in files.listed("data")] == ["data/a"]

    def test_a_missing_file_is_reported_and_removing_it_is_not_an_error(self, files: Files) -> None:
        put(files, "data/a", b"x")
        with pytest.raises(FileNotFoundError), files.fetched("data/gone"):
            pass
        assert files.missing(["data/a", "data/gone"]) == ["data/gone"]
        files.remove(["data/a", "data/gone"])
        assert files.missing(["data/a"]) == ["data/a"]

    def test_files_and_folders_are_listed_with_sizes_and_times(self, files: Files) -> None:
        began = datetime.now(UTC) - SOON
        for path in ("staging/run-1/0", "staging/run-1/1", "staging/run-2/0", "data/words/e/p"):
            put(files, path, b"12345")
        assert [(f.path, f.bytes) for f in files.listed("data")] == [("data/words/e/p", 5)]
        found = list(files.folders("staging"))
        assert [(f.path, f.bytes) for f in found] == [("staging/run-1", 10), ("staging/run-2", 5)]
        assert all(began < f.modified < datetime.now(UTC) + SOON for f in found)
        files.remove_folder("staging/run-1")
        assert [f.path for f in files.listed("staging")] == ["staging/run-2/0"]
        assert list(files.listed("nothing")) == []

    def test_changes_of_another_process_are_seen_at_once(self, files: Files) -> None:
        assert list(files.listed("data")) == []
        other = LocalFiles(files.root) if isinstance(files, LocalFiles) else Lake(str(files.root)).files  # type: ignore[attr-defined]
        put(other, "data/a", b"x")
        assert [f.path for f in files.listed("data")] == ["data/a"]


class TestAddresses:
    def test_a_url_is_a_lake_like_a_folder(self) -> None:
        lake = Lake("s3://bucket/some/lake/")
        part = f"data/words/encoding=e/{'a' * 32}.parquet"
        assert (str(lake.root), lake.root.name) == ("s3://bucket/some/lake", "lake")
        assert str(lake.part_path(part)) == f"s3://bucket/some/lake/{part}"
        assert Lake(lake.root) == lake
        assert Lake("file:///tmp/x").root == Path("/tmp/x").resolve()
        with pytest.raises(LakeError, match="outside"):
            lake.part_path("data/../../elsewhere")

    @pytest.mark.servers
    def test_a_lake_in_an_object_store_has_to_name_its_catalog(self, s3_root: str) -> None:
        with pytest.raises(UsageError, match="--catalog"):
            Catalog.create_or_open(Lake(s3_root))

    def test_an_unknown_kind_of_place_is_refused(self) -> None:
        with pytest.raises(UsageError, match="nowhere://"):
            Catalog.create_or_open(Lake("nowhere://bucket/lake", "sqlite:////tmp/x"))

    @pytest.mark.servers
    def test_a_bucket_that_does_not_exist_is_reported(self, s3_root: str, tmp_path: Path) -> None:
        lake = Lake("s3://no-such-bucket-at-all/lake", f"sqlite:///{tmp_path / 'c.sqlite'}")
        with pytest.raises(LakeError, match="bucket exists") as caught:
            Catalog.create_or_open(lake)
        assert "not-to-be-seen" not in str(caught.value)


@pytest.mark.servers
class TestLakeInAnObjectStore:
    @pytest.fixture
    def lake(self, s3_root: str, tmp_path: Path) -> Lake:
        return Lake(s3_root, f"sqlite:///{tmp_path / 'catalog.sqlite'}")

    @pytest.fixture
    def opened(self, lake: Lake) -> Iterator[Catalog]:
        with Catalog.create_or_open(lake) as made:
            yield made

    def test_it_is_written_compacted_verified_and_vacuumed(self, opened: Catalog, lake: Lake) -> None:
        for doc_id in "abc":
            lakes.commit(opened, SPEC, {doc_id: [f"The bank of {doc_id}.", "Closed."]})
        lakes.commit(opened, SPEC, {"a": ["The new bank."]})
        opened.delete_documents(SPEC.encoding_id, ["b"], version=99)
        before = rows(lake)
        assert before == [("a", "The new bank."), ("c", "The bank of c."), ("c", "Closed.")]
        assert {merge.outcome for merge in compact(opened).merges} == {"merged"}
        late = datetime.now(UTC) + SOON
        found = vacuum(opened, grace=AT_ONCE, now=late)
        assert len(found.retired) > 8
        assert rows(lake) == before
        with opened.reading() as connection:
            live = {part.path for part in part_rows.live_parts(connection)}
        assert {f.path for f in lake.files.listed("data")} == live
        assert verify(opened, grace=HOUR, now=late).findings == ()

    def test_what_was_damaged_is_found_and_repaired(self, opened: Catalog, lake: Lake) -> None:
        lakes.commit(opened, SPEC, {"a": ["The bank.", "Closed."]})
        lakes.commit(opened, SPEC, {"b": ["A river."]})
        with opened.reading() as connection:
            sentences = [part.path for part in part_rows.live_parts(connection) if part.table == "sentences"]
        put(lake.files, sentences[0], b"PAR1 not what was written PAR1")
        lake.files.remove([sentences[1]])
        result = verify(opened, grace=HOUR, now=datetime.now(UTC))
        assert {f.kind: f.subject for f in result.findings} == {"corrupt": sentences[0], "missing": sentences[1]}
        (mended,) = repair(opened, result.broken)
        assert set(mended.stale) == {"a", "b"}

    def test_sql_reads_the_live_parts_and_nothing_else(self, opened: Catalog, lake: Lake) -> None:
        lakes.commit(opened, SPEC, {"a": ["The bank."]})
        live = next(f.path for f in lake.files.listed("data/sentences"))
        before = get(lake.files, live)
        secret = f"data/sentences/encoding={SPEC.encoding_id}/secret.parquet"
        put(lake.files, secret, before)
        with connect(lake) as con:
            for sql in (
                f"FROM read_parquet('{lake.root}/{secret}')", f"FROM glob('{lake.root}/data/**')",
                f"FROM read_text('{lake.root}/lake.json')", f"COPY sentences TO '{lake.root}/out.parquet'",
                f"COPY sentences TO '{lake.root}/{live}'",
                f"COPY sentences TO '{lake.root}/{live}' (USE_TMP_FILE false)", "FROM read_csv('/etc/passwd')",
            ):  # fmt: skip
                with pytest.raises(duckdb.Error):
                    con.execute(sql).fetchall()
            assert con.execute("SELECT text FROM sentences").fetchall() == [("The bank.",)]
        assert get(lake.files, live) == before

    def test_the_published_file_can_be_fetched_and_never_goes_back(self, opened: Catalog, lake: Lake) -> None:
        lakes.commit(opened, SPEC, {"a": ["The bank."]})
        version = publish(opened)
        with lake.files.fetched("catalog.duckdb") as copy, duckdb.connect(str(copy)) as con:
            con.execute("UPDATE internal.meta SET catalog_version = ?", [version + 100])
            con.execute("CHECKPOINT")
            put(lake.files, "catalog.duckdb", copy.read_bytes())
        publish(opened)
        found = published(lake)
        assert found is not None
        assert found[0] == version + 100

    def test_four_writers_lose_nothing(self, s3_root: str, postgres_url: str) -> None:
        lake, each = Lake(s3_root, postgres_url), 4
        with Catalog.create_or_open(lake) as catalog:
            catalog.register_encoding(SPEC)
        writers = [(s3_root, i, each) for i in range(4)]
        assert processes.run_together(lakes.commit_and_publish, writers) == [0] * 4
        expected = sorted((f"w{worker}-{i}", "The bank.") for worker in range(4) for i in range(each))
        with Catalog.open(lake) as catalog:
            found = published(lake)
            assert found is not None
            assert found[0] == catalog.version
            compact(catalog)
            vacuum(catalog, grace=AT_ONCE, now=datetime.now(UTC) + SOON, unknown=True)
            assert verify(catalog, grace=HOUR, now=datetime.now(UTC) + SOON).findings == ()
        assert rows(lake) == expected


def rows(lake: Lake) -> list[tuple[object, ...]]:
    with connect(lake) as con:
        return con.execute("SELECT doc_id, text FROM sentences ORDER BY doc_id, sentence_index").fetchall()
