"""Compaction: what readers see stays the same, whatever is merged and whatever is committed meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import compaction
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact, groups
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.parts import write_part
from polyseme.storage.records import Part
from polyseme.storage.schemas import SORT_KEYS, TABLES
from polyseme.storage.sql.connection import open_snapshot
from tests import lakes

SPEC = lakes.make_spec()
PURGE = CompactionPolicy(min_dead=0.0)


def contents(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    """Return everything a reader can see, vectors included."""
    with open_snapshot(catalog.snapshot(), catalog.lake) as con:
        return {table: con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in (*TABLES, "coherence")}


def live(catalog: Catalog, table: str | None = None) -> list[Part]:
    with catalog.reading() as connection:
        return [p for p in part_rows.live_parts(connection) if table in (None, p.table)]


def hidden(catalog: Catalog) -> set[tuple[str, int]]:
    return {(row["doc_id"], row["version"]) for row in catalog.snapshot().superseded.to_pylist()}


def end_restoring(catalog: Catalog) -> None:
    """Vacuum as a day later, so that what was deleted cannot be restored."""
    vacuum(catalog, now=datetime.now(UTC) + timedelta(hours=25))


def problems(catalog: Catalog) -> list[str]:
    found = verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings
    return [f"{f.kind}: {f.message}" for f in found]


def fill(catalog: Catalog, commits: int = 4) -> None:
    """Commit documents one by one, then each again with other words; delete one and move one."""
    for round_ in range(2):
        for i in range(commits):
            lakes.commit(catalog, SPEC, {f"d{i}": [f"Round {round_} of a{i}.", "The bank closed."]}, random_margins=[1])
    catalog.delete_documents(SPEC.encoding_id, ["d0"], version=99)
    catalog.move_documents(SPEC.encoding_id, [("d1", "file:///elsewhere/d1.txt")])


def test_readers_see_the_same_before_and_after(catalog: Catalog) -> None:
    fill(catalog)
    before = contents(catalog)
    report = compact(catalog)
    assert contents(catalog) == before
    assert before["documents"]
    assert {m.outcome for m in report.merges} == {"merged"}
    assert [len(live(catalog, table)) for table in ("documents", "sentences", "words", "transitions")] == [1, 1, 1, 1]
    assert problems(catalog) == []


def test_dead_rows_and_corrections_are_gone_afterwards(catalog: Catalog) -> None:
    fill(catalog)
    assert len(hidden(catalog)) == 5
    end_restoring(catalog)
    compact(catalog)
    assert (hidden(catalog), catalog.snapshot().moved.num_rows) == (set(), 0)
    assert sum(part.rows for part in live(catalog, "documents")) == 3


def test_a_second_compaction_finds_nothing_to_do(catalog: Catalog) -> None:
    fill(catalog)
    compact(catalog)
    version = catalog.snapshot().catalog_version
    assert compact(catalog).merges == []
    assert catalog.snapshot().catalog_version == version


@pytest.mark.parametrize("row_group", [1, 3, 8192])
def test_merged_parts_are_in_order_at_any_row_group_size(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, row_group: int
) -> None:
    monkeypatch.setattr("polyseme.storage.maintenance.merging.ROW_GROUP_ROWS", row_group)
    fill(catalog, commits=7)
    before = contents(catalog)
    compact(catalog)
    assert contents(catalog) == before
    for part in live(catalog):
        table = pq.read_table(catalog.lake.part_path(part.path), partitioning=None)
        keys = [tuple(row[key] for key in SORT_KEYS[part.table]) for row in table.to_pylist()]
        assert keys == sorted(keys)
        assert len(keys) == part.rows


def test_a_document_replaced_during_a_compaction_is_not_brought_back(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog)
    write = compaction.write_part

    def write_and_commit(lake: Lake, *args: object, **named: object) -> Part:
        made: Part = write(lake, *args, **named)  # type: ignore[arg-type]
        monkeypatch.setattr(compaction, "write_part", write)
        lakes.commit(catalog, SPEC, {"d1": ["Newer than the compaction."]})
        catalog.move_documents(SPEC.encoding_id, [("d2", "file:///moved/again.txt")])
        return made

    monkeypatch.setattr(compaction, "write_part", write_and_commit)
    compact(catalog)
    found = contents(catalog)
    assert [row[3:5] for row in found["sentences"] if row[0] == "d1"] != []
    assert {row[4] for row in found["sentences"] if row[0] == "d1"} == {"Newer than the compaction."}
    assert "file:///moved/again.txt" in {row[2] for row in found["documents"]}
    assert problems(catalog) == []
    end_restoring(catalog)
    compact(catalog, PURGE)
    assert contents(catalog) == found
    assert hidden(catalog) == set()


def test_a_fenced_commit_of_a_version_that_was_dropped_stays_hidden(catalog: Catalog) -> None:
    slow = catalog.register_encoding(SPEC) and catalog.begin_run("slow", SPEC.encoding_id, [])
    lakes.commit(catalog, SPEC, {"d": ["New."]})
    catalog.commit_shard(lakes.encode(catalog.lake, SPEC, {"d": ["Old."]}, run_id="slow", version=slow))
    compact(catalog, PURGE)
    assert hidden(catalog) == set()
    catalog.commit_shard(lakes.encode(catalog.lake, SPEC, {"d": ["Old."], "e": ["E."]}, run_id="slow", version=slow))
    assert [row[4] for row in contents(catalog)["sentences"]] == ["New.", "E."]


def test_a_correction_stays_if_its_version_was_committed_since(catalog: Catalog) -> None:
    fill(catalog, commits=1)
    second = {part.path for part in live(catalog)[4:]}
    assert hidden(catalog) == {("d0", 1), ("d0", 2)}
    with catalog.writing() as connection:
        part_rows.drop_corrections(connection, SPEC.encoding_id, [("d0", 1), ("d0", 2)], searched=second)
    assert hidden(catalog) == {("d0", 1)}


def test_of_two_compactions_at_once_one_gives_way(
    catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog)
    before = contents(catalog)
    write = compaction.write_part

    def overtake(*args: object, **named: object) -> Part:
        made: Part = write(*args, **named)  # type: ignore[arg-type]
        monkeypatch.setattr(compaction, "write_part", write)
        with Catalog.open(lake) as other:
            compact(other)
        return made

    monkeypatch.setattr(compaction, "write_part", overtake)
    assert [m.outcome for m in compact(catalog).merges] == ["overtaken"]
    assert contents(catalog) == before
    assert problems(catalog) == []
    named = {p.path for p in live(catalog)} | {r.path for r in retired(catalog)}
    on_disk = {path.relative_to(lake.root).as_posix() for path in lake.data.glob("*/*/*")}
    assert on_disk == named


def retired(catalog: Catalog) -> list[part_rows.RetiredPart]:
    with catalog.reading() as connection:
        return part_rows.retired(connection)


def test_a_broken_part_is_reported_and_left_alone(catalog: Catalog, lake: Lake) -> None:
    fill(catalog)
    victim = lake.part_path(live(catalog, "words")[0].path)
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    report = compact(catalog)
    assert report.broken == [victim.relative_to(lake.root).as_posix()]
    assert {m.table: m.outcome for m in report.merges}["words"] == "broken"
    assert len(live(catalog, "words")) == 8
    # The rows of a broken part are unknown: what was hidden stays hidden.
    assert len(hidden(catalog)) == 5


def test_a_part_that_is_not_sorted_is_not_merged(catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.storage.maintenance.merging.ROW_GROUP_ROWS", 1)
    fill(catalog, commits=1)
    rows = lakes.arrow_table(
        "documents",
        SPEC.width,
        [
            {
                **dict.fromkeys(("title", "metadata", "text", "content_sha256", "uri"), "x"),
                **dict.fromkeys(("n_chars", "n_sentences", "n_tokens"), 1),
                "doc_id": doc_id,
                "version": 3,
                "ingested_at": datetime(2026, 11, 1, tzinfo=UTC),
            }
            for doc_id in "abc"
        ],
    )
    part = write_part(
        lake, rows.take(pa.array([2, 0, 1])), table="documents", encoding_id=SPEC.encoding_id, width=SPEC.width
    )
    documents = [lakes.document_version(doc_id, 3) for doc_id in "abc"]
    catalog.commit_shard(lakes.make_result(SPEC, documents, run_id="run-0-d0", parts=[part]))
    with pytest.raises(PolysemeError, match="not in order"):
        compact(catalog)
    assert len(live(catalog, "documents")) == 3


def test_a_table_of_dead_rows_only_vanishes(catalog: Catalog) -> None:
    lakes.commit(catalog, SPEC, {"d": ["The bank."], "e": ["Another."]})
    catalog.delete_documents(SPEC.encoding_id, ["d", "e"], version=9)
    end_restoring(catalog)
    compact(catalog)
    assert live(catalog) == []
    assert contents(catalog)["sentences"] == []


def test_encodings_are_never_merged_with_each_other(catalog: Catalog) -> None:
    wide = lakes.make_spec(width=8, model_sha256="other")
    for spec in (SPEC, wide):
        for doc_id in "ab":
            lakes.commit(catalog, spec, {doc_id: ["The bank."]})
    before = contents(catalog)
    compact(catalog)
    assert sorted((p.table, p.encoding_id) for p in live(catalog, "words")) == sorted(
        ("words", spec.encoding_id) for spec in (SPEC, wide)
    )
    assert contents(catalog) == before


def part(size: int, name: str, rows: int = 10) -> Part:
    return Part(table="words", encoding_id="e", path=name, rows=rows, bytes=size, sha256="")


def test_groups_fill_up_to_the_target_and_large_parts_are_left_alone() -> None:
    policy = CompactionPolicy(target_bytes=100)
    parts = [part(30, "a"), part(90, "large"), part(30, "b"), part(40, "c"), part(20, "d"), part(45, "e"), part(9, "f")]
    assert [[p.path for p in g] for g in groups(parts, {}, policy)] == [["a", "b", "c"], ["d", "e", "f"]]
    assert groups([part(30, "alone"), part(90, "large")], {}, policy) == []


def test_a_part_is_rewritten_for_its_dead_rows_from_a_tenth_on() -> None:
    policy = CompactionPolicy(target_bytes=100)
    large = part(90, "large", rows=100)
    assert groups([large], {"large": 9}, policy) == []
    assert groups([large], {"large": 10}, policy) == [[large]]
    assert groups([large], {"large": 1}, CompactionPolicy(target_bytes=100, min_dead=0.0)) == [[large]]
    assert groups([large], {}, CompactionPolicy(target_bytes=100, min_dead=0.0)) == []


@pytest.mark.parametrize("wrong", [{"target_bytes": 0}, {"small": 0}, {"min_dead": 2}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        CompactionPolicy(**wrong)  # type: ignore[arg-type]


def test_rows_are_streamed(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that Arrow allocates while merging stays below half of the size of all rows."""
    count, parts = 60_000, 4
    for module in ("maintenance.merging", "parts"):
        monkeypatch.setattr(f"polyseme.storage.{module}.ROW_GROUP_ROWS", 1024)
    keys = [{"doc_id": f"d{i:06}", "version": 1, "sentence_index": 0, "char_start": 0, "char_end": 1, "n_tokens": 1,
             "text": "x" * 300} for i in range(count)]  # fmt: skip
    wide = lakes.make_spec(width=256)
    catalog.register_encoding(wide)
    catalog.begin_run("r", wide.encoding_id, [])
    table = lakes.arrow_table("sentences", 256, keys)
    size = table.nbytes
    thirds = [table.take(pa.array(range(first, count, parts))) for first in range(parts)]
    made = [write_part(catalog.lake, t, table="sentences", encoding_id=wide.encoding_id, width=256) for t in thirds]
    catalog.commit_shard(lakes.make_result(wide, [], run_id="r", parts=made))
    del table, thirds
    pool = pa.default_memory_pool()
    pool.release_unused()
    before, peak = pool.bytes_allocated(), 0
    write = compaction.write_part

    def watching(lake: Lake, batches: Iterable[pa.RecordBatch], **named: Any) -> Part:
        def watched() -> Iterator[pa.RecordBatch]:
            nonlocal peak
            for batch in batches:
                peak = max(peak, pool.bytes_allocated() - before)
                yield batch

        return write(lake, watched(), **named)

    monkeypatch.setattr(compaction, "write_part", watching)
    assert [m.outcome for m in compact(catalog).merges] == ["merged"]
    assert 0 < peak < size / 2
