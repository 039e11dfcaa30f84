"""The catalog: what a commit changes, what a retry does not, and who wins when runs overlap."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
import time
import tracemalloc
from itertools import islice
from pathlib import Path

import lakes
import pytest

from storage.catalog import Catalog
from storage.errors import LakeError, PolysemeError, UsageError
from storage.lake import Lake
from storage.records import Counts, EncodingSpec, Outputs, Reject

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For a test that looks into SQLite's own file."""


@pytest.fixture
def spec(catalog: Catalog) -> EncodingSpec:
    made = lakes.make_spec()
    catalog.register_encoding(made)
    return made


def begin(catalog: Catalog, spec: EncodingSpec, run_id: str) -> int:
    return catalog.begin_run(run_id, spec.encoding_id, ["corpus/*.txt"])


def put(catalog: Catalog, spec: EncodingSpec, run_id: str, version: int, *doc_ids: str) -> None:
    catalog.commit_shard(lakes.make_result(spec, [lakes.document_version(d, version) for d in doc_ids], run_id=run_id))


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
            raw.execute("UPDATE meta SET value = '3' WHERE key = 'format_version'")
        raw.close()
        for opening in (Catalog.open, Catalog.create_or_open):
            with pytest.raises(LakeError, match="Upgrade Polyseme"):
                opening(lake)

    @pytest.mark.parametrize("content", [b"not a database at all, but long enough to look like one" * 40, b""])
    def test_a_file_that_is_no_catalog_is_reported(self, lake: Lake, content: bytes) -> None:
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
            begin(impatient, spec, "r1")
        holder.execute("ROLLBACK")
        holder.close()
        assert begin(catalog, spec, "r1") == 1


class TestEncodings:
    def test_names_come_from_the_model_and_what_is_unusual(self, catalog: Catalog) -> None:
        name = catalog.register_encoding
        assert name(lakes.make_spec()) == "polyseme_mini"
        assert name(lakes.make_spec(context="window", layers="last4")) == "polyseme_mini_window_last4"
        assert name(lakes.make_spec(model="google-bert/bert-base-uncased", model_sha256="b")) == "bert_base_uncased"
        assert name(lakes.make_spec(model_sha256="other")) == "polyseme_mini_2"
        assert name(lakes.make_spec(model="../7b'; DROP--/", model_sha256="c")) == "model_7b_drop"
        assert name(lakes.make_spec(model="模型", model_sha256="d")) == "model"

    def test_an_encoding_keeps_its_name_and_the_first_is_the_default(self, catalog: Catalog) -> None:
        first, second = lakes.make_spec(), lakes.make_spec(context="pair")
        assert catalog.register_encoding(first) == catalog.register_encoding(first)
        catalog.register_encoding(second, name="mine")
        assert catalog.register_encoding(second) == "mine"
        default = catalog.snapshot().default
        assert default is not None
        assert (default.spec, [e.name for e in catalog.encodings()]) == (first, ["polyseme_mini", "mine"])

    @pytest.mark.parametrize("name", ["Mine", "1st", "a b", "a;drop", "x" * 49, "ä"])
    def test_a_name_that_sql_would_have_to_quote_is_refused(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(UsageError, match="lower-case"):
            catalog.register_encoding(lakes.make_spec(), name=name)

    def test_two_encodings_cannot_share_a_name(self, catalog: Catalog, spec: EncodingSpec) -> None:
        with pytest.raises(UsageError, match="belongs to"):
            catalog.register_encoding(lakes.make_spec(context="pair"), name="polyseme_mini")


class TestRuns:
    def test_ordinals_only_grow(self, catalog: Catalog, spec: EncodingSpec) -> None:
        assert [begin(catalog, spec, run_id) for run_id in ("b", "a", "c")] == [1, 2, 3]

    def test_a_run_begins_once(self, catalog: Catalog, spec: EncodingSpec) -> None:
        begin(catalog, spec, "r")
        with pytest.raises(PolysemeError, match="already begun"):
            begin(catalog, spec, "r")

    def test_a_run_keeps_what_it_did(self, catalog: Catalog, spec: EncodingSpec) -> None:
        begin(catalog, spec, "r")
        counts = Counts(documents=2, tokens=30, seconds={"encode": 1.5})
        catalog.finish_run("r", "failed", counts, skipped=3, deleted=4, rejected=5, error="disk full")
        (run,) = catalog.snapshot().runs.to_pylist()
        assert run["finished_at"] > run["started_at"]
        shown = ("state", "documents", "tokens", "skipped", "deleted", "rejected", "seconds", "error")
        assert [run[name] for name in shown] == ["failed", 2, 30, 3, 4, 5, '{"encode": 1.5}', "disk full"]

    def test_a_run_that_never_began_cannot_finish(self, catalog: Catalog) -> None:
        with pytest.raises(PolysemeError, match="never began"):
            catalog.finish_run("r", "done", Counts(), skipped=0, deleted=0, rejected=0)


class TestCommits:
    def test_a_commit_is_looked_up_again(self, catalog: Catalog, spec: EncodingSpec) -> None:
        outputs = Outputs("tokens", frozenset({"bank"}), nsp=False)
        document = lakes.document_version("d'1", begin(catalog, spec, "r"), outputs=outputs)
        outcome = catalog.commit_shard(lakes.make_result(spec, [document], run_id="r"))
        assert (outcome.already_committed, outcome.live, outcome.fenced) == (False, 1, 0)
        assert catalog.lookup(spec.encoding_id, ["d'1", "absent"]) == {"d'1": document}
        assert catalog.lookup("another", ["d'1"]) == {}

    def test_a_retry_changes_nothing(self, catalog: Catalog, spec: EncodingSpec, lake: Lake) -> None:
        version = begin(catalog, spec, "r")
        bad = Reject("file:///x", "line 1", "read", "encoding", "not text")
        for attempt in range(2):
            result = lakes.encode(lake, spec, {"d": ["A bank."]}, run_id="r", version=version)
            again = lakes.make_result(spec, result.documents, run_id="r", parts=result.parts, rejects=[bad])
            assert catalog.commit_shard(again).already_committed == bool(attempt)
            if not attempt:
                before = catalog.snapshot()
        assert catalog.snapshot() == before

    def test_the_newer_run_wins_whoever_commits_last(self, catalog: Catalog, spec: EncodingSpec) -> None:
        old, new = begin(catalog, spec, "old"), begin(catalog, spec, "new")
        put(catalog, spec, "new", new, "d")
        late = [lakes.document_version("d", old), lakes.document_version("e", old)]
        outcome = catalog.commit_shard(lakes.make_result(spec, late, run_id="old"))
        assert (outcome.live, outcome.fenced) == (1, 1)
        assert versions(catalog, spec, "d", "e") == {"d": new, "e": old}
        assert hidden(catalog) == {("d", old)}

    def test_a_replaced_version_is_hidden(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = begin(catalog, spec, "1"), begin(catalog, spec, "2")
        put(catalog, spec, "1", first, "d", "e")
        put(catalog, spec, "2", second, "d")
        assert (versions(catalog, spec, "d", "e"), hidden(catalog)) == ({"d": second, "e": first}, {("d", first)})

    def test_a_document_read_twice_by_one_run_is_an_error_and_nothing_is_committed(
        self, catalog: Catalog, spec: EncodingSpec
    ) -> None:
        version = begin(catalog, spec, "r")
        put(catalog, spec, "r", version, "d")
        with pytest.raises(PolysemeError, match="twice"):
            put(catalog, spec, "r", version, "new", "d")
        with pytest.raises(PolysemeError, match="twice"):
            put(catalog, spec, "r", version, "e", "e")
        assert versions(catalog, spec, "d", "new", "e") == {"d": version}

    def test_every_change_raises_the_catalog_version(self, catalog: Catalog, spec: EncodingSpec) -> None:
        seen = [catalog.snapshot().catalog_version]

        def grown() -> bool:
            seen.append(catalog.snapshot().catalog_version)
            return seen[-1] > seen[-2]

        version = begin(catalog, spec, "r")
        assert grown()
        put(catalog, spec, "r", version, "d")
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
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=lakes.commit_many, args=(catalog.lake.root, i, 20)) for i in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        doc_ids = [f"w{worker}-{i}" for worker in range(4) for i in range(20)]
        assert versions(catalog, spec, *doc_ids).keys() == set(doc_ids)
        assert sorted(r["ordinal"] for r in catalog.snapshot().runs.to_pylist()) == [1, 2, 3, 4]


class TestDeletionAndMoves:
    def test_a_deleted_document_is_gone_until_a_newer_run_reads_it_again(
        self, catalog: Catalog, spec: EncodingSpec
    ) -> None:
        first, second, third = (begin(catalog, spec, run_id) for run_id in ("1", "2", "3"))
        put(catalog, spec, "1", first, "d")
        assert catalog.delete_documents(spec.encoding_id, ["d", "absent"], version=second) == 1
        assert versions(catalog, spec, "d") == {}
        assert list(catalog.documents_under(spec.encoding_id)) == []
        put(catalog, spec, "3", third, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({"d": third}, {("d", first)})

    def test_a_deletion_does_not_touch_what_a_newer_run_committed(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = begin(catalog, spec, "1"), begin(catalog, spec, "2")
        put(catalog, spec, "2", second, "d")
        assert catalog.delete_documents(spec.encoding_id, ["d"], version=first) == 0
        assert catalog.delete_documents(spec.encoding_id, ["d"], version=second) == 0
        assert versions(catalog, spec, "d") == {"d": second}

    def test_a_slow_older_run_cannot_bring_a_deleted_document_back(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, slow, deleting = (begin(catalog, spec, run_id) for run_id in ("1", "slow", "deleting"))
        put(catalog, spec, "1", first, "d")
        catalog.delete_documents(spec.encoding_id, ["d"], version=deleting)
        put(catalog, spec, "slow", slow, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({}, {("d", first), ("d", slow)})

    def test_a_document_deleted_and_read_by_the_same_run_lives(self, catalog: Catalog, spec: EncodingSpec) -> None:
        first, second = begin(catalog, spec, "1"), begin(catalog, spec, "2")
        put(catalog, spec, "1", first, "d")
        catalog.delete_documents(spec.encoding_id, ["d"], version=second)
        put(catalog, spec, "2", second, "d")
        assert (versions(catalog, spec, "d"), hidden(catalog)) == ({"d": second}, {("d", first)})

    def test_a_moved_document_keeps_its_rows_under_another_uri(self, catalog: Catalog, spec: EncodingSpec) -> None:
        version = begin(catalog, spec, "r")
        put(catalog, spec, "r", version, "d")
        for uri in ("file:///elsewhere/d", "file:///further/d"):
            assert catalog.move_documents(spec.encoding_id, [("d", uri), ("absent", uri)]) == 1
        found = catalog.lookup(spec.encoding_id, ["d"])["d"]
        assert (found.uri, found.version, hidden(catalog)) == ("file:///further/d", version, set())


class TestListing:
    def test_documents_are_listed_by_exact_uri_prefix_in_pages(self, catalog: Catalog, spec: EncodingSpec) -> None:
        version = begin(catalog, spec, "r")
        uris = ["f:///a/1", "f:///a/2", "f:///a/ü_%", "f:///A/3", "f:///a", "f:///b/4"]
        documents = [lakes.document_version(f"d{i}", version, uri=uri) for i, uri in enumerate(uris)]
        documents += [lakes.document_version(f"same{i}", version, uri="f:///c/all.jsonl") for i in range(7)]
        catalog.commit_shard(lakes.make_result(spec, documents, run_id="r"))

        def under(prefix: str) -> list[list[str]]:
            return [[d for d, _ in page] for page in catalog.documents_under(spec.encoding_id, prefix, page=3)]

        assert under("f:///a/") == [["d0", "d1", "d2"]]
        assert under("f:///a/ü_%") == [["d2"]]
        assert under("f:///c/") == [["same0", "same1", "same2"], ["same3", "same4", "same5"], ["same6"]]
        assert sum(map(len, under(""))) == 13
        assert under("f:///nothing") == []

    def test_documents_may_be_deleted_while_they_are_listed(self, catalog: Catalog, spec: EncodingSpec) -> None:
        put(catalog, spec, "r", begin(catalog, spec, "r"), *(f"d{i:02}" for i in range(20)))
        seen = []
        for page in catalog.documents_under(spec.encoding_id, page=6):
            seen += [doc_id for doc_id, _ in page]
            catalog.delete_documents(spec.encoding_id, [doc_id for doc_id, _ in page], version=99)
        assert seen == [f"d{i:02}" for i in range(20)]

    @only_sqlite
    def test_hundreds_of_thousands_of_documents_are_looked_up_and_listed_in_flat_memory(
        self, catalog: Catalog, spec: EncodingSpec
    ) -> None:
        many, page = 200_000, 1000
        with contextlib.closing(sqlite3.connect(catalog.lake.catalog_path)) as raw, raw:
            raw.execute(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
                "INSERT INTO document_versions "
                "SELECT ?, printf('d%08d', i), 1, 1, printf('f:///%08d', i), 'x', ?, 7, 0 FROM n",
                (many, spec.encoding_id, Outputs().to_json()),
            )
        doc_ids = [f"d{i:08}" for i in range(many)]
        for at in range(0, many, page):
            assert len(catalog.lookup(spec.encoding_id, doc_ids[at : at + page])) == page
        assert sum(map(len, catalog.documents_under(spec.encoding_id, page=page))) == many
        tracemalloc.start()
        assert sum(map(len, islice(catalog.documents_under(spec.encoding_id, page=page), 40))) == 40 * page
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3e6

    def test_a_large_shard_commits_well_under_a_second(self, catalog: Catalog, spec: EncodingSpec) -> None:
        version = begin(catalog, spec, "r")
        start = time.process_time()
        put(catalog, spec, "r", version, *(f"d{i}" for i in range(5000)))
        assert time.process_time() - start < 1


class TestRejects:
    @staticmethod
    def reject(uri: str, locator: str = "", code: str = "bad") -> Reject:
        return Reject(uri, locator, "read", code, f"{uri} is bad", "it's", None)

    def rejected(self, catalog: Catalog) -> set[tuple[str, str, str]]:
        return {(r["run_id"], r["uri"], r["locator"]) for r in catalog.snapshot().rejects.to_pylist()}

    def test_the_same_reject_twice_in_a_run_is_one(self, catalog: Catalog, spec: EncodingSpec) -> None:
        begin(catalog, spec, "r")
        for _ in range(2):
            catalog.record_rejects("r", [self.reject("a", "line 1"), self.reject("a", "line 2")])
        assert self.rejected(catalog) == {("r", "a", "line 1"), ("r", "a", "line 2")}

    def test_a_later_scan_replaces_the_rejects_of_what_it_scanned(self, catalog: Catalog, spec: EncodingSpec) -> None:
        begin(catalog, spec, "old")
        catalog.record_rejects("old", [self.reject("mended"), self.reject("still bad"), self.reject("not scanned")])
        begin(catalog, spec, "new")
        catalog.record_rejects("new", [self.reject("still bad")])
        catalog.retire_rejects("new", {"mended", "still bad", "fine"}.__contains__)
        assert self.rejected(catalog) == {("new", "still bad", ""), ("old", "not scanned", "")}

    def test_an_older_run_cannot_retire_a_newer_ones_rejects(self, catalog: Catalog, spec: EncodingSpec) -> None:
        begin(catalog, spec, "old")
        begin(catalog, spec, "new")
        catalog.record_rejects("new", [self.reject("a")])
        catalog.retire_rejects("old", {"a"}.__contains__)
        assert self.rejected(catalog) == {("new", "a", "")}
