"""Tiering: many small commits leave few parts, all rows, and nothing of what is over; and never fail."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import event

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta, part_rows, runs
from polyseme.storage.database.part_rows import live_parts, retired
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import tiering
from polyseme.storage.maintenance.broken_parts import broken_parts, record_broken_parts
from polyseme.storage.maintenance.compaction import MOST_PARTS
from polyseme.storage.maintenance.forgetting import RESTORABLE, RUNS_KEPT
from polyseme.storage.maintenance.quarantine import repair
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.maintenance.tiering import next_group, tidy
from polyseme.storage.maintenance.vacuum import GRACE
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, EncodingSpec, Part
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from tests import lakes

NOW = datetime.now(UTC)
LATER = timedelta(hours=1)


def part(rows: int, number: int = 0, size: int = 1000) -> Part:
    return Part(table="words", encoding_id="e", path=str(number), rows=rows, bytes=size, sha256="")


def grown(sizes: Iterator[int]) -> tuple[list[int], int]:
    """Return the rows of the parts that commits of these sizes leave, and how many rows were written by merges."""
    parts, written = list[Part](), 0
    for number, rows in enumerate(sizes):
        parts.append(part(rows, number))
        while group := next_group(parts):
            assert parts[len(parts) - len(group) :] == group  # the newest, in the order of time
            merged = sum(p.rows for p in group)
            written += merged
            parts[len(parts) - len(group) :] = [part(merged, number)]
    return [p.rows for p in parts], written


def test_equal_commits_grow_like_a_binary_counter() -> None:
    rows, written = grown(iter([1] * 1000))
    assert rows == [512, 256, 128, 64, 32, 8]
    assert written <= 1000 * 10


@pytest.mark.parametrize("seed", range(5))
def test_parts_and_rows_written_are_bounded_by_the_number_of_tiers(seed: int) -> None:
    chance = random.Random(seed)
    sizes = [int(2 ** chance.uniform(0, 12)) for _ in range(1000)]
    rows, written = grown(iter(sizes))
    tiers = sum(sizes).bit_length()
    assert sum(rows) == sum(sizes)
    assert len(rows) <= 2 * tiers
    assert written <= tiers * sum(sizes)


def test_large_parts_stay_as_they_are() -> None:
    large = part(5, size=tiering._LARGEST_BYTES)
    assert next_group([large, large, large]) == []
    assert next_group([part(5), large, part(5, 1), part(5, 2)]) == [part(5, 1), part(5, 2)]


def test_a_merge_opens_no_more_parts_than_a_process_may() -> None:
    small = [part(5, number) for number in range(5000)]
    assert next_group(small) == small[-MOST_PARTS:]
    assert next_group([*small, part(5 * MOST_PARTS, 5000)]) == []


def commits(catalog: Catalog, spec: EncodingSpec, texts: Sequence[lakes.Texts]) -> None:
    for found in texts:
        lakes.commit(catalog, spec, found)
        tidy(catalog, spec.encoding_id, now=NOW)


def words(lake: Lake) -> list[tuple[object, ...]]:
    with connect(lake.root, catalog=lake.catalog) as con:
        return con.execute("SELECT doc_id, sentence_index, word_index, word FROM words ORDER BY ALL").fetchall()


def faults(catalog: Catalog) -> list[str]:
    return [f.message for f in verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings]


def test_many_commits_leave_few_parts_with_every_live_row(catalog: Catalog, spec: EncodingSpec) -> None:
    chance, now = random.Random(1), dict[str, Sequence[str]]()
    for i in range(16):
        texts = {f"d{chance.randrange(6)}": [f"Text number {i}.", "The bank."]}
        now |= texts
        commits(catalog, spec, [texts])
    with catalog.reading() as connection:
        for table in ("documents", "sentences", "words", "transitions"):
            assert len(live_parts(connection, table=table)) <= 5
    expected = [(d, i, w, x) for d, s in now.items() for i, t in enumerate(s) for w, x in enumerate(t.split())]
    assert words(catalog.lake) == sorted(expected)
    assert faults(catalog) == []


def test_corrections_do_not_grow_with_runs(
    catalog: Catalog, spec: EncodingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiering, "_FEWEST_CORRECTIONS", 4)
    lakes.commit(catalog, spec, {f"d{i}": ["The bank."] for i in range(4)})
    for i in range(12):
        commits(catalog, spec, [{f"d{i % 4}": [f"Text number {i}."]}])
    assert catalog.snapshot().superseded.num_rows <= 4
    assert len(words(catalog.lake)) == 4 * 3
    assert faults(catalog) == []


def test_a_deleted_document_can_be_restored_after_many_commits(catalog: Catalog, spec: EncodingSpec) -> None:
    commits(catalog, spec, [{"a": ["The bank.", "It closed."]}])
    catalog.delete_documents(spec.encoding_id, ["a"], version=lakes.begin(catalog, spec, "deletes"))
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(9)])
    assert [d.doc_id for d in restore(catalog, deleted_documents(catalog)).documents] == ["a"]
    assert len([row for row in words(catalog.lake) if row[0] == "a"]) == 4
    assert faults(catalog) == []


def test_a_reader_with_the_old_parts_open_goes_on(catalog: Catalog, spec: EncodingSpec) -> None:
    commits(catalog, spec, [{"a": ["The bank."]}])
    with connect(catalog.lake.root, catalog=catalog.lake.catalog) as con:
        commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(9)])
        assert con.execute("SELECT count(*) FROM words").fetchone() == (2,)
    assert len(words(catalog.lake)) == 2 + 18


def test_a_broken_part_is_left_and_recorded_and_those_after_it_are_merged(
    catalog: Catalog, spec: EncodingSpec, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    lakes.commit(catalog, spec, {"a": ["The bank."]})
    with catalog.reading() as connection:
        (broken,) = live_parts(connection, table="words")
    path = lake.part_path(broken.path)
    path.chmod(0o600)  # type: ignore[union-attr]
    whole = path.read_bytes()  # type: ignore[union-attr]
    path.write_bytes(b"broken")  # type: ignore[union-attr]
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(9)])
    with catalog.reading() as connection:
        assert broken in live_parts(connection, table="words")
        assert len(live_parts(connection, table="words")) <= 4
        assert len(live_parts(connection, table="sentences")) <= 3
    assert broken_parts(catalog) == broken_parts(catalog, spec.encoding_id) == (broken.path,)
    assert broken_parts(catalog, "other") == ()
    assert [record.message for record in caplog.records if broken.path in record.message] == [
        f"{broken.path} in {lake.root} is missing or changed: run `polyseme verify`"
    ], "once"

    assert verify(catalog, grace=GRACE, now=NOW).broken == {broken.path}
    assert broken_parts(catalog) == (broken.path,)
    path.write_bytes(whole)  # type: ignore[union-attr]
    assert not verify(catalog, grace=GRACE, now=NOW).broken
    assert broken_parts(catalog) == ()
    commits(catalog, spec, [{f"c{i}": ["A third text."]} for i in range(16)])
    with catalog.reading() as connection:
        assert broken not in live_parts(connection, table="words")


def test_a_part_that_is_gone_is_broken_before_a_merge_meets_it(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ["The bank."]})
    with catalog.reading() as connection:
        (gone,) = live_parts(connection, table="words")
    Path(catalog.lake.part_path(gone.path)).unlink()
    assert broken_parts(catalog) == (gone.path,)


def test_a_part_that_was_repaired_is_not_shown_as_broken_any_more(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ["The bank."]})
    with catalog.reading() as connection:
        (broken,) = live_parts(connection, table="words")
    record_broken_parts(catalog, [broken.path])
    repair(catalog, frozenset([broken.path]))
    assert broken_parts(catalog) == ()


@pytest.mark.parametrize("error", [LakeError("locked"), OSError("no room"), duckdb.Error("no")])
def test_whatever_goes_wrong_the_commit_stays(
    catalog: Catalog, spec: EncodingSpec, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tiering, "merge_group", fail)
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(3)])
    assert len(words(catalog.lake)) == 6


def test_another_process_that_merges_the_same_parts_is_no_fault(
    catalog: Catalog, spec: EncodingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = tiering.merge_group

    def twice(*arguments: object, broken: list[str]) -> object:
        merge(*arguments, broken=broken)  # type: ignore[arg-type]
        return merge(*arguments, broken=broken)  # type: ignore[arg-type]

    monkeypatch.setattr(tiering, "merge_group", twice)
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(4)])
    assert len(words(catalog.lake)) == 8
    assert faults(catalog) == []


def test_replaced_files_stay_for_the_grace_period_and_then_go(catalog: Catalog, spec: EncodingSpec) -> None:
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(4)])
    publish(catalog)
    with catalog.reading() as connection:
        old = [p.path for p in retired(connection)]
    assert old
    tidy(catalog, spec.encoding_id, now=NOW + GRACE - LATER)
    assert catalog.lake.files.missing(old) == []
    tidy(catalog, spec.encoding_id, now=NOW + GRACE + LATER)
    assert catalog.lake.files.missing(old) == old
    with catalog.reading() as connection:
        assert retired(connection) == []
    with duckdb.connect(str(catalog.lake.published_path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM words").fetchone() == (8,)


def test_shards_of_runs_that_ended_are_forgotten_after_the_grace_period(catalog: Catalog, spec: EncodingSpec) -> None:
    commits(catalog, spec, [{f"b{i}": ["Another text."]} for i in range(5)])
    ids = catalog.snapshot().runs["run_id"].to_pylist()
    for run_id in ids[:-1]:
        catalog.finish_run(run_id, "completed", Counts(), skipped=0, deleted=0, rejected=0)
    counts = []
    for now in (NOW, NOW + GRACE + LATER):
        tidy(catalog, spec.encoding_id, now=now)
        with catalog.reading() as connection:
            counts.append(connection.exec_driver_sql("SELECT count(*) FROM shards").scalar())
    # That of the run under way, which is also the one whose parts are not merged.
    assert counts == [5, 1]


def test_runs_but_the_newest_are_forgotten(
    catalog: Catalog, spec: EncodingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RUNS_KEPT >= 100
    monkeypatch.setattr("polyseme.storage.maintenance.forgetting.RUNS_KEPT", 2)
    for i in range(4):
        lakes.begin(catalog, spec, f"r{i}")
        with catalog.writing() as connection:
            runs.add_committed(connection, f"r{i}", Counts(documents=1, rounded_documents=1))
        if i != 1:
            catalog.finish_run(f"r{i}", "completed", Counts(), skipped=0, deleted=0, rejected=0)
    tidy(catalog, spec.encoding_id, now=NOW)
    assert catalog.snapshot().runs["run_id"].to_pylist() == ["r1", "r2", "r3"]
    with catalog.reading() as connection:
        assert meta.rounded_documents(connection) == {"r1": 1, "r2": 1, "r3": 1}


def test_what_was_deleted_a_month_ago_is_dropped(catalog: Catalog, spec: EncodingSpec) -> None:
    commits(catalog, spec, [{"a": ["The bank."]}])
    catalog.delete_documents(spec.encoding_id, ["a"], version=lakes.begin(catalog, spec, "deletes"))
    tidy(catalog, spec.encoding_id, now=NOW + RESTORABLE - LATER)
    assert len(deleted_documents(catalog)) == 1
    tidy(catalog, spec.encoding_id, now=NOW + RESTORABLE + LATER)
    assert deleted_documents(catalog) == []


def newest(catalog: Catalog, spec: EncodingSpec, below: int) -> dict[str, list[str]]:
    with catalog.reading() as connection:
        found = part_rows.newest_parts(connection, spec.encoding_id, below=below)
        for table, parts in found.items():
            assert part_rows.newest_parts(connection, spec.encoding_id, below=below, table=table) == {table: parts}
    return {table: [part.path for part in parts] for table, parts in found.items()}


def test_a_commit_reads_only_the_parts_after_the_last_large_one(catalog: Catalog, spec: EncodingSpec) -> None:
    for i in range(5):
        lakes.commit(catalog, spec, {f"d{i}": ["The bank."] * (40 if i == 2 else 1)})
    with catalog.reading() as connection:
        parts = live_parts(connection, table="words")
        every = {part.table for part in live_parts(connection)}
    large = max(part.bytes for part in parts)
    paths = [part.path for part in parts]
    assert newest(catalog, spec, large)["words"] == paths[3:]
    assert newest(catalog, spec, large + 1)["words"] == paths
    assert newest(catalog, spec, 1) == {}
    assert newest(catalog, spec, 1 << 40).keys() == every
    with catalog.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE parts SET first_shard = NULL, last_shard = NULL WHERE path = '" + paths[4] + "'"
        )
    assert newest(catalog, spec, large + 1)["words"] == [paths[4], *paths[:4]], "a part of unknown shards is the oldest"


@contextmanager
def statements(catalog: Catalog) -> Iterator[list[str]]:
    """Collect how SQLite goes about the statements that are executed in the body, with their tables' names."""
    found: list[tuple[str, object]] = []

    def executed(_: object, __: object, statement: str, values: object, *___: object) -> None:
        if statement.startswith(("SELECT", "DELETE", "UPDATE")):
            found.append((statement, values))

    plans: list[str] = []
    event.listen(catalog._engine, "before_cursor_execute", executed)
    try:
        yield plans
    finally:
        event.remove(catalog._engine, "before_cursor_execute", executed)
    with catalog.reading() as connection:
        for statement, values in found:
            one = values[0] if isinstance(values, list) else values
            plans += [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]


def looks_at_all_documents(plans: Sequence[str]) -> int:
    """Return how many statements read the versions of all documents, or of all of an encoding."""
    found = [plan for plan in plans if re.match("(SCAN|SEARCH) document_versions", plan)]
    return sum("doc_id=?" not in plan for plan in found)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_commit_looks_at_every_document(
    catalog: Catalog, spec: EncodingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes.commit(catalog, spec, {f"d{i}": ["The bank."] for i in range(20)})
    catalog.delete_documents(spec.encoding_id, ["d3"], version=lakes.begin(catalog, spec, "deletes"))
    version, texts = lakes.begin(catalog, spec, "changes"), {f"d{i}": ["Another text."] for i in range(1, 40, 2)}
    result = lakes.encode(catalog.lake, spec, texts, run_id="changes", version=version)
    with statements(catalog) as plans:
        catalog.commit_shard(result)
        assert tidy(catalog, spec.encoding_id, now=NOW), "a merge is part of it"
    assert looks_at_all_documents(plans) == 0

    monkeypatch.setattr(tiering, "_FEWEST_CORRECTIONS", 1)
    lakes.commit(catalog, spec, {"d2": ["A third text."]})
    counts = []
    for _ in range(3):
        with statements(catalog) as plans:
            tidy(catalog, spec.encoding_id, now=NOW)
        counts.append(looks_at_all_documents(plans))
    assert (counts[0], counts[-1]) == (1, 0), "they are counted again only when more is dead"
