"""Runs that ended without recording it: found by their process or their lease, and nothing that lives is harmed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import runs as run_rows
from polyseme.storage.database.dead_runs import ABANDONED, LEASE
from polyseme.storage.database.run_process import this_process
from polyseme.storage.database.schema import runs, shards
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.recording import record_dead_runs
from polyseme.storage.records import Counts, EncodingSpec, Reject
from tests import lakes, processes

ELSEWHERE = replace(this_process(), numbering="0" * 16).to_json()
"""A process of this number on another machine, or in another container of this one."""
MINUTE = timedelta(minutes=1)

on_linux = pytest.mark.skipif(this_process().numbering is None, reason="needs /proc of Linux")


@pytest.fixture
def run(catalog: Catalog, spec: EncodingSpec) -> str:
    """A run with two documents committed."""
    version = lakes.begin(catalog, spec, "r")
    commit(catalog, spec, version, "a", "b")
    return "r"


def commit(catalog: Catalog, spec: EncodingSpec, version: int, *doc_ids: str) -> None:
    made = lakes.make_result(spec, [lakes.document_version(d, version) for d in doc_ids], run_id="r")
    counts = Counts(documents=len(doc_ids), tokens=7 * len(doc_ids), bytes=100, seconds={"encode": 1.5})
    catalog.commit_shard(replace(made, counts=counts))


def edit(catalog: Catalog, run_id: str, **values: object) -> None:
    with catalog.writing() as connection:
        connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))


def ago(delta: timedelta) -> str:
    return (datetime.now(UTC) - delta).isoformat(timespec="microseconds")


def shown(catalog: Catalog, run_id: str = "r") -> dict[str, Any]:
    (row,) = [row for row in catalog.snapshot().runs.to_pylist() if row["run_id"] == run_id]
    return row


def stored(catalog: Catalog, run_id: str = "r") -> dict[str, Any]:
    with catalog.reading() as connection:
        return dict(connection.execute(runs.select().where(runs.c.run_id == run_id)).mappings().one())


def renew(catalog: Catalog) -> None:
    with catalog.writing(patience=0.0) as connection:
        run_rows.renew(connection, "r")


def kill(catalog: Catalog, run_id: str = "r") -> int:
    """Make a run that of a process which has ended, and return its number."""
    with processes.started("true") as ended:
        ended.wait()
    edit(catalog, run_id, process=replace(this_process(), pid=ended.pid).to_json())
    return ended.pid


@on_linux
class TestOnThisMachine:
    def test_a_run_whose_process_is_gone_died_with_what_it_committed(self, catalog: Catalog, run: str) -> None:
        catalog.record_rejects(run, [Reject("file:///x", "", "read", "bad-json", "m", "e")])
        assert (shown(catalog)["state"], shown(catalog)["documents"]) == ("running", 2)
        pid = kill(catalog)
        died = shown(catalog)
        assert died["state"] == "died"
        assert f"process {pid} on {died['host']} ended without finishing this run; last seen 20" in died["error"]
        assert (died["documents"], died["tokens"], died["bytes"], died["rejected"]) == (2, 14, 100, 1)
        assert died["seconds"] == '{"encode": 1.5}'
        assert died["finished_at"] >= died["started_at"]

    def test_reading_changes_nothing_and_the_next_run_records_it(
        self, catalog: Catalog, spec: EncodingSpec, run: str
    ) -> None:
        kill(catalog)
        died, version = shown(catalog), catalog.version
        assert (stored(catalog)["state"], catalog.version) == ("running", version)
        lakes.begin(catalog, spec, "next")
        # What a run only rounded is kept beside its row.
        assert stored(catalog) | {"rounded_documents": 0} == died
        assert stored(catalog, "next")["state"] == "running"

    def test_whoever_looks_and_may_write_records_it(self, catalog: Catalog, run: str) -> None:
        kill(catalog)
        before = catalog.version
        record_dead_runs(catalog)
        assert (stored(catalog)["state"], catalog.version) == ("died", before + 1)
        record_dead_runs(catalog)
        assert catalog.version == before + 1

    def test_a_process_with_the_number_of_another_that_ended_does_not_keep_it_alive(
        self, catalog: Catalog, run: str
    ) -> None:
        mine = this_process()
        edit(catalog, run, process=replace(mine, started=(mine.started or 0) - 1).to_json())
        assert shown(catalog)["state"] == "died"

    def test_a_living_run_is_never_taken_for_dead_however_long_it_is_silent(
        self, catalog: Catalog, lake: Lake, spec: EncodingSpec, run: str
    ) -> None:
        edit(catalog, run, seen_at=ago(timedelta(days=30)), started_at=ago(timedelta(days=30)))

        def look(number: int) -> None:
            with Catalog.open(lake) as mine:
                lakes.begin(mine, spec, f"other-{number}")
                record_dead_runs(mine)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(look, range(8)))
        assert {row["state"] for row in catalog.snapshot().runs.to_pylist()} == {"running"}

    def test_a_catalog_that_is_busy_is_read_and_the_next_one_records_it(
        self, catalog: Catalog, lake: Lake, run: str
    ) -> None:
        kill(catalog)
        with Catalog.open(lake, patience=0.1) as mine:
            with catalog.writing():
                record_dead_runs(mine)
                assert shown(mine)["state"] == "died"
            assert stored(mine)["state"] == "running"


class TestElsewhere:
    def test_a_run_is_alive_within_its_lease_and_dead_after_it(self, catalog: Catalog, run: str) -> None:
        edit(catalog, run, process=ELSEWHERE, host="other", started_at=ago(timedelta(days=9)))
        for silence, state in ((LEASE - MINUTE, "running"), (LEASE + MINUTE, "died")):
            edit(catalog, run, seen_at=ago(silence))
            assert shown(catalog)["state"] == state
        assert "on other gave no sign of life since 20" in shown(catalog)["error"]
        assert shown(catalog)["finished_at"][:19] == stored(catalog)["seen_at"][:19]

    def test_clocks_that_differ_do_not_kill_and_a_clock_set_back_does_not_keep_alive_for_ever(
        self, catalog: Catalog, run: str
    ) -> None:
        edit(catalog, run, process=ELSEWHERE, seen_at=ago(timedelta(hours=-23)))
        assert shown(catalog)["state"] == "running"
        edit(catalog, run, seen_at=ago(timedelta(days=-2)))
        assert shown(catalog)["state"] == "died"

    def test_a_sign_of_life_brings_a_run_back(self, catalog: Catalog, spec: EncodingSpec, run: str) -> None:
        edit(catalog, run, process=ELSEWHERE, seen_at=ago(LEASE + MINUTE))
        lakes.begin(catalog, spec, "next")
        assert stored(catalog)["state"] == "died"
        before = catalog.version
        renew(catalog)
        row = stored(catalog)
        assert (row["state"], row["finished_at"], row["error"]) == ("running", None, None)
        assert row["seen_at"] > ago(MINUTE)
        assert catalog.version == before + 1
        renew(catalog)
        assert catalog.version == before + 1, "or every minute everything would be published again"

    def test_a_run_that_was_taken_for_dead_commits_and_finishes_like_any_other(
        self, catalog: Catalog, spec: EncodingSpec, run: str
    ) -> None:
        edit(catalog, run, process=ELSEWHERE, seen_at=ago(LEASE + MINUTE))
        lakes.begin(catalog, spec, "next")
        commit(catalog, spec, 1, "c")
        assert (stored(catalog)["state"], stored(catalog)["documents"]) == ("running", 3)
        edit(catalog, run, seen_at=ago(LEASE + MINUTE))
        lakes.begin(catalog, spec, "after")
        assert stored(catalog)["state"] == "died"
        catalog.finish_run(run, "completed", Counts(documents=3), skipped=1, deleted=0, rejected=0)
        row = stored(catalog)
        assert (row["state"], row["error"], row["documents"], row["skipped"]) == ("completed", None, 3, 1)
        renew(catalog)
        assert stored(catalog)["state"] == "completed"

    @pytest.mark.servers
    @pytest.mark.parametrize("database", ["postgres"], indirect=True)
    def test_a_user_who_may_only_read_a_server_sees_it(self, catalog: Catalog, lake: Lake, run: str) -> None:
        edit(catalog, run, process=ELSEWHERE, seen_at=ago(LEASE + MINUTE))
        reading = Lake(lake.root, f"{lake.catalog}%20-cdefault_transaction_read_only%3Don")
        with Catalog.open(reading) as mine:
            record_dead_runs(mine)
            assert shown(mine)["state"] == "died"
        assert stored(catalog)["state"] == "running"


def test_a_run_of_an_earlier_polyseme_is_dead_after_a_day_without_a_commit(catalog: Catalog, run: str) -> None:
    edit(catalog, run, process=None, host=None, started_at=ago(timedelta(days=9)))
    for silence, state in ((ABANDONED - MINUTE, "running"), (ABANDONED + MINUTE, "died")):
        edit(catalog, run, seen_at=ago(silence))
        assert shown(catalog)["state"] == state
    assert "did not record its process" in shown(catalog)["error"]
    edit(catalog, run, seen_at=None, started_at=ago(MINUTE))
    assert shown(catalog)["state"] == "running", "it began in a catalog that was migrated meanwhile"


class TestCounts:
    def test_a_run_counts_each_shard_once_when_it_is_committed(
        self, catalog: Catalog, spec: EncodingSpec, run: str
    ) -> None:
        for _ in range(2):
            commit(catalog, spec, 1, "c")
        row = stored(catalog)
        assert (row["documents"], row["tokens"], row["bytes"]) == (3, 21, 200)
        assert row["seconds"] == '{"encode": 3.0}'

    def test_a_run_that_was_interrupted_counts_what_it_committed(
        self, catalog: Catalog, spec: EncodingSpec, run: str
    ) -> None:
        catalog.finish_run(run, "cancelled", Counts(documents=1), skipped=0, deleted=0, rejected=0)
        assert (stored(catalog)["state"], stored(catalog)["documents"]) == ("cancelled", 2), "it had not heard of one"
        commit(catalog, spec, 1, "c")
        assert (stored(catalog)["state"], stored(catalog)["documents"]) == ("cancelled", 3), "one came after its end"


class TestSigns:
    def test_a_commit_is_a_sign_of_life(self, catalog: Catalog, spec: EncodingSpec, run: str) -> None:
        edit(catalog, run, seen_at=ago(timedelta(hours=1)))
        commit(catalog, spec, 1, "c")
        assert stored(catalog)["seen_at"] > ago(MINUTE)

    def test_a_sign_of_life_does_not_wait_for_other_writers(self, catalog: Catalog, lake: Lake, run: str) -> None:
        with Catalog.open(lake, patience=0.1) as mine, catalog.writing(), pytest.raises(LakeError, match="locked"):
            renew(mine)

    def test_a_run_that_is_seen_keeps_its_scratch_files_however_long_ago_it_began(
        self, catalog: Catalog, run: str
    ) -> None:
        edit(catalog, run, started_at=ago(timedelta(days=9)), seen_at=ago(MINUTE))
        with catalog.writing() as connection:
            connection.execute(update(shards).values(committed_at=ago(timedelta(days=8))))
        with catalog.reading() as connection:
            assert run_rows.active(connection, since=ago(timedelta(days=1))) == {run}
        edit(catalog, run, state="completed")
        with catalog.reading() as connection:
            assert run_rows.active(connection, since=ago(timedelta(days=1))) == set()
