"""The catalog: what a commit changes, that a retry changes nothing, and which run wins when runs overlap."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import FORMAT_VERSION
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import EncodingSpec, Outputs, Reject
from tests import lakes, processes

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For a test that reads SQLite's own file."""


def versions(catalog: Catalog, spec: EncodingSpec, *doc_ids: str) -> dict[str, int]:
    return {doc_id: found.version for doc_id, found in catalog.lookup(spec.encoding_id, doc_ids).items()}


def hidden(catalog: Catalog) -> set[tuple[str, int]]:
    return {(row["doc_id"], row["version"]) for row in catalog.snapshot().superseded.to_pylist()}


class TestOpening:
    def test_a_missing_lake_is_reported_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(LakeError, match="polyseme embed"):
            Catalog.open(Lake(tmp_path / "nowhere"))
        assert not (tmp_path / "nowhere").exists()

    def test_creating_twice_keeps_what_is_there(self, catalog: Catalog, spec: EncodingSpec, lake: Lake) -> None:
        before = catalog.snapshot()
        with Catalog.create_or_open(lake) as again:
            assert again.snapshot().lake_id == before.lake_id
            assert again.encodings() == before.encodings

    @only_sqlite
    def test_a_newer_format_is_refused(self, catalog: Catalog, lake: Lake) -> None:
        with sqlite3.connect(lake.catalog_path) as raw:
            raw.execute("UPDATE meta SET value = ? WHERE key = 'format_version'", [str(FORMAT_VERSION + 1)])
        raw.close()
        for opening in (Catalog.open, Catalog.create_or_open):
            with pytest.raises(LakeError, match="Upgrade Polyseme"):
                opening(lake)

    @pytest.mark.parametrize("content", [b"not a database at all, but long enough to look like one" * 40, b""])
    def test_a_file_that_is_not_a_catalog_is_reported(self, lake: Lake, content: bytes) -> None:
        lake.create()
        lake.catalog_path.write_bytes(content)
        with pytest.raises(LakeError, match="Restore"):
            Catalog.open(lake)

    @only_sqlite
    def test_commits_are_durable_and_readers_do_not_wait(self, catalog: Catalog) -> None:
        with catalog._engine.connect() as connection:
            found = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")}
            keys = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
        assert (found, keys) == ({"journal_mode": "wal", "synchronous": 2}, 1)

    @only_sqlite
    def test_a_lock_that_never_opens_is_reported(self, catalog: Catalog, lake: Lake, spec: EncodingSpec) -> None:
        holder = sqlite3.connect(lake.catalog_path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with Catalog.open(lake, patience=0.1) as impatient, pytest.raises(LakeError, match="stayed locked"):
            lakes.begin(impatient, spec, "r1")
        holder.execute("ROLLBACK")
        holder.close()
        assert lakes.begin(catalog, spec, "r1") == 1


class TestCommits:
    def test_a_commit_is_looked_up_again(self, catalog: Catalog, spec: EncodingSpec) -> None:
        outputs = Outputs("tokens", frozenset({"bank"}), nsp=False)
        document = lakes.document_version(
            "d'1", lakes.begin(catalog, spec, "r"), outputs=outputs, content_sha256="5" * 64, device="cuda"
        )
        catalog.commit_shard(lakes.make_result(spec, [document], run_id="r"))
        assert catalog.lookup(spec.encoding_id, ["d'1", "absent"]) == {"d'1": replace(document, rows_shard=1)}
        assert catalog.lookup("another", ["d'1"]) == {}
        assert hidden(catalog) == set()

    def test_a_retry_changes_nothing(self, catalog: Catalog, spec: EncodingSpec, lake: Lake) -> None:
        version = lakes.begin(catalog, spec, "r")
        bad = Reject("file:///x", "line 1", "read", "encoding", "not text")
        for attempt in range(2):
            result = lakes.encode(lake, spec, {"d": ["A bank."]}, run_id="r", version=version)
            again = lakes.make_result(spec, result.documents, run_id="r", parts=result.parts, rejects=[bad])
            catalog.commit_shard(again)
            if not attempt:
                before = catalog.snapshot()
        assert catalog.snapshot() == before

    def test_the_newer_run_wins_whoever_commits_last(self, catalog: Catalog, spec: EncodingSpec) -> None:
        old, new = lakes.begin(catalog, spec, "old"), lakes.begin(catalog, spec, "new")
        lakes.put(catalog, spec, "new", new, "d")
        late = [lakes.document_version("d", old), lakes.document_version("e", old)]
        catalog.commit_shard(lakes.make_result(spec, late, run_id="old"))
        assert versions(catalog, spec, "d", "e") == {"d": new, "e": old}
        assert hidden(catalog) == {("d", old)}

    def test_a_replaced_version_is_hidden(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = lakes.begin(catalog, spec, "1"), lakes.begin(catalog, spec, "2")
        lakes.put(catalog, spec, "1", first, "d", "e")
        lakes.put(catalog, spec, "2", second, "d")
        assert (versions(catalog, spec, "d", "e"), hidden(catalog)) == ({"d": second, "e": first}, {("d", first)})

    def test_a_document_read_twice_by_one_run_is_an_error_and_nothing_is_committed(
        self, catalog: Catalog, spec: EncodingSpec
    ) -> None:
        version = lakes.begin(catalog, spec, "r")
        lakes.put(catalog, spec, "r", version, "d")
        with pytest.raises(PolysemeError, match="twice"):
            lakes.put(catalog, spec, "r", version, "new", "d")
        with pytest.raises(PolysemeError, match="twice"):
            lakes.put(catalog, spec, "r", version, "e", "e")
        assert versions(catalog, spec, "d", "new", "e") == {"d": version}

    def test_every_change_raises_the_catalog_version(self, catalog: Catalog, spec: EncodingSpec) -> None:
        seen = [catalog.snapshot().catalog_version]

        def grown() -> bool:
            seen.append(catalog.snapshot().catalog_version)
            return seen[-1] > seen[-2]

        version = lakes.begin(catalog, spec, "r")
        assert grown()
        lakes.put(catalog, spec, "r", version, "d")
        assert grown()
        catalog.move_documents(spec.encoding_id, [("d", "file:///new")])
        assert grown()
        catalog.record_rejects("r", [Reject("u", "", "scan", "c", "m")])
        assert grown()
        catalog.delete_documents(spec.encoding_id, ["d"], version=version + 1)
        assert grown()
        catalog.delete_documents(spec.encoding_id, ["d"], version=version + 1)
        assert not grown()

    def test_processes_that_commit_at_once_all_get_through(self, catalog: Catalog, spec: EncodingSpec) -> None:
        writers = [(catalog.lake.root, i, 20) for i in range(4)]
        assert processes.run_together(lakes.commit_many, writers) == [0] * 4
        doc_ids = [f"w{worker}-{i}" for worker in range(4) for i in range(20)]
        assert versions(catalog, spec, *doc_ids).keys() == set(doc_ids)
        assert sorted(r["ordinal"] for r in catalog.snapshot().runs.to_pylist()) == [1, 2, 3, 4]

    def test_a_large_shard_commits_well_under_a_second(self, catalog: Catalog, spec: EncodingSpec) -> None:
        version = lakes.begin(catalog, spec, "r")
        took = []
        for shard in "ab":  # twice: a collection of the whole session's garbage may fall into one
            start = time.thread_time()
            lakes.put(catalog, spec, "r", version, *(f"{shard}{i}" for i in range(5000)))
            took.append(time.thread_time() - start)
        assert min(took) < 1

    def test_an_error_of_the_database_does_not_quote_what_was_refused(self, catalog: Catalog) -> None:
        with pytest.raises((DatabaseError, LakeError)) as caught:
            catalog.record_rejects("no such run", [Reject("u", "", "scan", "c", "m", excerpt="a secret text")])
        assert "a secret text" not in str(caught.value)


class TestDeletionAndMoves:
    def test_a_deleted_document_is_gone_until_a_newer_run_reads_it_again(
        self, catalog: Catalog, spec: EncodingSpec
    ) -> None:
        first, second, third = (lakes.begin(catalog, spec, run_id) for run_id in ("1", "2", "3"))
        lakes.put(catalog, spec, "1", first, "d")
        assert catalog.delete_documents(spec.encoding_id, ["d", "absent"], version=second) == 1
        assert versions(catalog, spec, "d") == {}
        assert list(catalog.documents_under(spec.encoding_id)) == []
        lakes.put(catalog, spec, "3", third, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({"d": third}, {("d", first)})

    def test_a_deletion_does_not_touch_what_a_newer_run_committed(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = lakes.begin(catalog, spec, "1"), lakes.begin(catalog, spec, "2")
        lakes.put(catalog, spec, "2", second, "d")
        assert catalog.delete_documents(spec.encoding_id, ["d"], version=first) == 0
        assert catalog.delete_documents(spec.encoding_id, ["d"], version=second) == 0
        assert versions(catalog, spec, "d") == {"d": second}

    def test_a_slow_older_run_cannot_bring_a_deleted_document_back(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, slow, deleting = (lakes.begin(catalog, spec, run_id) for run_id in ("1", "slow", "deleting"))
        lakes.put(catalog, spec, "1", first, "d")
        catalog.delete_documents(spec.encoding_id, ["d"], version=deleting)
        lakes.put(catalog, spec, "slow", slow, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({}, {("d", first), ("d", slow)})

    def test_a_document_deleted_and_read_by_the_same_run_lives(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = lakes.begin(catalog, spec, "1"), lakes.begin(catalog, spec, "2")
        lakes.put(catalog, spec, "1", first, "d")
        catalog.delete_documents(spec.encoding_id, ["d"], version=second)
        lakes.put(catalog, spec, "2", second, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({"d": second}, {("d", first)})

    def test_a_moved_document_keeps_its_rows_under_another_uri(self, catalog: Catalog, spec: EncodingSpec) -> None:
        version = lakes.begin(catalog, spec, "r")
        lakes.put(catalog, spec, "r", version, "d")
        for uri in ("file:///elsewhere/d", "file:///further/d"):
            assert catalog.move_documents(spec.encoding_id, [("d", uri), ("absent", uri)]) == 1
        found = catalog.lookup(spec.encoding_id, ["d"])["d"]
        assert (found.uri, found.version, hidden(catalog)) == ("file:///further/d", version, set())
