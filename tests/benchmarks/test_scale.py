"""Benchmarks of scale, at toy size: lakes have every row that they should, and comparisons see what differs."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.large_catalog import commands
from benchmarks.large_lake import grow, plan, revise
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import tiering
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from tests import lakes, processes
from tests.repository import ROOT


def test_a_large_lake_has_a_part_of_each_table_for_every_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiering, "_LARGEST_BYTES", tiering._LARGEST_BYTES)  # set back in the end
    lake = Lake(tmp_path / "lake")
    found = list(grow(lake, 40, 4))
    assert (found[-1]["documents"], found[-1]["parts_a_table"]) == (40, 4)
    assert set(found[-1]) >= {"write_cpu_ms", "commit_cpu_ms", "tidy_cpu_ms", "catalog_mb"}
    with Catalog.open(lake) as catalog:
        assert [len(paths) for paths in catalog.snapshot().parts.values()] == [4] * 4
        assert not verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).broken
    plan(lake, 40)
    revise(lake, 40)
    with connect(lake.root) as con:
        for what in ("a document by its id", "sentences of one document"):
            assert len(con.execute(commands(40)[what][-1]).fetchall()) == 1


@pytest.mark.servers
def test_several_writers_lose_nothing(s3_root: str, postgres_url: str) -> None:
    from benchmarks.writers import measure

    found = measure(s3_root, postgres_url, 2, 1.0)
    assert found["commits"] >= 10
    assert found["rows that are lost, doubled or old"] == 0


def test_lost_old_and_doubled_rows_are_counted(tmp_path: Path) -> None:
    from benchmarks.writers import check

    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"a": ["The bank."]})
    assert check(lake, {"a": 1, "b": 1}) >= 4, "b is in none of four tables"


def test_a_comparison_of_lakes_sees_a_row_that_differs(tmp_path: Path) -> None:
    from benchmarks.cluster import differences

    made = [Lake(tmp_path / name) for name in ("one", "same", "other")]
    for lake, text in zip(made, ("The bank.", "The bank.", "A bank."), strict=True):
        with Catalog.create_or_open(lake) as catalog:
            lakes.commit(catalog, lakes.make_spec(), {"a": [text], "b": ["It closed."]})
    one, same, other = made
    assert all(n == 0 for t in differences(one, same).values() for name, n in t.items() if name != "rows")
    found = differences(one, other)
    assert found["sentences"] == {"rows": 2, "only on the cluster": 1, "only on one machine": 1}


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2")
def test_a_machine_has_an_address_and_sees_no_temporary_folder_but_its_own(tmp_path: Path) -> None:
    from benchmarks.namespaces import network

    (given := tmp_path / "given").mkdir()
    (given / "note").write_text("seen")
    script = f"ls /mnt; [ -e '{tmp_path}' ] && echo not its own; uname -n"
    log = tmp_path / "log"
    with ExitStack() as opened:
        try:
            net = opened.enter_context(network("pst", "10.88.0"))
        except SystemExit as error:
            pytest.skip(str(error))
        machine = net.add("worker")
        with machine.running("sh", "-c", script, environment={}, log=log, shown=given) as process:
            assert process.wait() == 0, log.read_text()
        assert log.read_text().split() == ["note", "worker"]
        assert machine.address == "10.88.0.2"


def test_what_is_computed_on_paper_is_what_the_page_says() -> None:
    printed = processes.run(sys.executable, "-m", "benchmarks.on_paper", cwd=ROOT).stdout.splitlines()
    page = set((ROOT / "docs" / "performance.md").read_text("utf-8").splitlines())
    assert len(printed) > 20
    assert [line for line in printed if line.startswith("|") and line not in page] == []
