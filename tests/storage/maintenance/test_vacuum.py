"""Vacuum: it removes files that are not needed, and no others."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import GRACE, Leftovers, find_leftovers, vacuum
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.publish import publish
from tests import lakes

SPEC = lakes.make_spec()
HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For a test that reads SQLite's own file."""


def later() -> datetime:
    """Return half an hour from now: not a constant, because a test may run an hour after it was imported."""
    return datetime.now(UTC) + timedelta(minutes=30)


def fill(catalog: Catalog) -> None:
    for doc_id in "abc":
        lakes.commit(catalog, SPEC, {doc_id: [f"The bank of {doc_id}."]})


def files(lake: Lake) -> set[str]:
    return {path.relative_to(lake.root).as_posix() for path in lake.data.rglob("*") if path.is_file()}


def named(catalog: Catalog) -> set[str]:
    with catalog.reading() as connection:
        return {part.path for part in part_rows.live_parts(connection)}


def orphan(catalog: Catalog) -> list[str]:
    """Write the parts of a writer that was killed between the last rename and the commit; return their paths."""
    result = lakes.encode(catalog.lake, SPEC, {"z": ["Never committed."]}, run_id="dead", version=9)
    return [part.path for part in result.parts]


def paths(found: Leftovers, kind: str) -> set[str]:
    return {leftover.path for leftover in getattr(found, kind)}


def test_replaced_parts_go_when_the_grace_period_is_over_and_not_before(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    old = named(catalog)
    compact(catalog)
    early = vacuum(catalog, grace=HOUR, now=later())
    assert (paths(early, "waiting"), early.retired) == (old, ())
    assert files(lake) == old | named(catalog)
    late = vacuum(catalog, grace=HOUR, now=later() + HOUR)
    assert (paths(late, "retired"), late.waiting) == (old, ())
    assert files(lake) == named(catalog)
    assert vacuum(catalog, grace=HOUR, now=later() + HOUR) == Leftovers(retired=(), scratch=(), unknown=(), waiting=())


def test_a_reader_goes_on_with_the_snapshot_it_opened(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    publish(catalog)
    with (
        open_snapshot(catalog.snapshot(), lake) as con,
        duckdb.connect(str(lake.published_path), read_only=True) as published,
    ):
        before = con.execute("FROM sentences ORDER BY ALL").fetchall()
        compact(catalog)
        vacuum(catalog, grace=HOUR, now=later())
        for reader in (con, published):
            assert reader.execute("FROM sentences ORDER BY ALL").fetchall() == before


def test_the_published_file_never_names_a_part_that_is_gone(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    publish(catalog)
    compact(catalog)
    vacuum(catalog, grace=AT_ONCE, now=later())
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM sentences").fetchone() == (3,)


def test_unknown_parts_are_listed_and_removed_only_on_request(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    lost = set(orphan(catalog))
    assert paths(vacuum(catalog, grace=AT_ONCE, now=later()), "unknown") == lost
    assert lost <= files(lake)
    vacuum(catalog, grace=AT_ONCE, now=later(), unknown=True)
    assert files(lake) == named(catalog)


def test_a_young_part_belongs_to_a_writer_that_has_not_committed_yet(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    lost = set(orphan(catalog))
    assert vacuum(catalog, grace=HOUR, now=later(), unknown=True).unknown == ()
    assert lost <= files(lake)


def test_finding_leftovers_changes_nothing(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    compact(catalog)
    orphan(catalog)
    before = files(lake)
    found = find_leftovers(catalog, grace=AT_ONCE, now=later())
    assert (bool(found.retired), bool(found.unknown), files(lake)) == (True, True, before)
    assert sum(leftover.bytes for leftover in found.retired) > 0


def test_scratch_of_dead_runs_goes_and_that_of_living_ones_stays(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    folder = lake.data / "words" / f"encoding={SPEC.encoding_id}"
    scratch = [
        folder / f".{'0' * 32}.parquet.tmp",
        lake.root / f".catalog.duckdb.{'a' * 32}.tmp",
        lake.staging / "dead-run" / "00000.arrow",
    ]
    old = (later() - 2 * HOUR).timestamp()
    for path in scratch:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (old, old))
    os.utime(lake.staging / "dead-run", (old, old))
    alive = lake.staging / "alive" / "00001.arrow"
    alive.parent.mkdir()
    alive.write_bytes(b"waiting")
    # An early file of a run that is still active: its folder changed with the last commit.
    os.utime(alive, (old, old))
    removed = paths(vacuum(catalog, grace=HOUR, now=later()), "scratch")
    assert removed == {"staging/dead-run", *(p.relative_to(lake.root).as_posix() for p in scratch[:2])}
    assert not any(path.exists() for path in scratch)
    assert alive.exists()


def test_files_of_others_are_never_touched(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    folder = lake.data / "words" / f"encoding={SPEC.encoding_id}"
    mine = [folder / "notes.txt", folder / "mine.parquet", lake.root / "README", lake.data / "x.parquet"]
    for path in mine:
        path.write_text("mine")
    outside = lake.root.parent / "outside"
    outside.mkdir()
    (outside / f"{'b' * 32}.parquet").write_text("linked")
    (folder / f"{'c' * 32}.parquet").symlink_to(outside / f"{'b' * 32}.parquet")
    vacuum(catalog, grace=AT_ONCE, now=later(), unknown=True)
    assert all(path.exists() for path in mine)
    assert (outside / f"{'b' * 32}.parquet").exists()


def test_a_writer_stopped_during_a_vacuum_is_refused_and_can_try_again(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    version = catalog.begin_run("slow", SPEC.encoding_id, [])
    texts = {"slow": ["A slow writer."]}
    result = lakes.encode(lake, SPEC, texts, run_id="slow", version=version)
    vacuum(catalog, grace=AT_ONCE, now=later(), unknown=True)
    before = catalog.snapshot()
    with pytest.raises(PolysemeError, match="vanished"):
        catalog.commit_shard(result)
    assert catalog.snapshot() == before
    catalog.commit_shard(lakes.encode(lake, SPEC, texts, run_id="slow", version=version))
    with open_snapshot(catalog.snapshot(), lake) as con:
        assert con.execute("SELECT text FROM sentences WHERE doc_id = 'slow'").fetchall() == [("A slow writer.",)]


def test_a_part_that_is_committed_between_listing_and_removing_stays(
    catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog)
    version = catalog.begin_run("late", SPEC.encoding_id, [])
    result = lakes.encode(lake, SPEC, {"late": ["Just in time."]}, run_id="late", version=version)
    find = find_leftovers

    def find_then_commit(*args: object, **named: object) -> Leftovers:
        found = find(*args, **named)  # type: ignore[arg-type]
        catalog.commit_shard(result)
        return found

    monkeypatch.setattr("polyseme.storage.maintenance.vacuum.find_leftovers", find_then_commit)
    vacuum(catalog, grace=AT_ONCE, now=later(), unknown=True)
    assert {part.path for part in result.parts} <= files(lake)


@only_sqlite
def test_a_lost_catalog_does_not_cost_the_parts(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    parts = files(lake)
    catalog.close()
    for name in ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"):
        (lake.root / name).unlink(missing_ok=True)
    shutil.rmtree(lake.staging)
    with Catalog.create_or_open(lake) as fresh:
        assert paths(vacuum(fresh, grace=AT_ONCE, now=later()), "unknown") == parts
    assert files(lake) == parts


def test_a_negative_grace_period_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="negative"):
        find_leftovers(catalog, grace=-GRACE, now=later())
