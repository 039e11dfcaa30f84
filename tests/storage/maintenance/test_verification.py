"""Verification and repair: every kind of damage is found, and only what is broken is encoded again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.quarantine import repair
from polyseme.storage.maintenance.verification import Verification, verify
from polyseme.storage.parts import write_part
from polyseme.storage.records import Outputs, Part
from polyseme.storage.sql.connection import open_snapshot
from tests import lakes

SPEC = lakes.make_spec()


def later() -> datetime:
    """Return half an hour from now: not a constant, because a test may run an hour after it was imported."""
    return datetime.now(UTC) + timedelta(minutes=30)


@pytest.fixture
def full(catalog: Catalog) -> Catalog:
    lakes.commit(catalog, SPEC, {"a": ["The bank.", "It closed."], "b": ["Zwölf Bänke 🦊 am Fluß.", "Ja."]})
    lakes.commit(catalog, SPEC, {"c": ["Another bank.", "With a sentence."]})
    return catalog


def check(catalog: Catalog, grace: timedelta = timedelta(hours=1)) -> Verification:
    return verify(catalog, grace=grace, now=later())


def kinds(catalog: Catalog) -> list[tuple[str, str]]:
    return [(f.kind, f.subject) for f in check(catalog).findings]


def parts(catalog: Catalog, table: str) -> list[Part]:
    with catalog.reading() as connection:
        return [part for part in part_rows.live_parts(connection) if part.table == table]


def a_file(catalog: Catalog, table: str) -> Path:
    path = catalog.lake.part_path(parts(catalog, table)[0].path)
    path.chmod(0o644)
    return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def test_a_sound_lake_has_no_faults(full: Catalog) -> None:
    found = check(full)
    assert (found.findings, found.parts, found.fresh) == ((), 8, 0)


@pytest.mark.parametrize("table", ["documents", "sentences", "words", "transitions"])
@pytest.mark.parametrize(("damage", "kind"), [(flip, "corrupt"), (truncate, "corrupt"), (Path.unlink, "missing")])
def test_every_broken_part_is_named_and_nothing_else(
    full: Catalog, table: str, damage: Callable[[Path], None], kind: str
) -> None:
    path = a_file(full, table)
    damage(path)
    assert kinds(full) == [(kind, path.relative_to(full.lake.root).as_posix())]


def forge(catalog: Catalog, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace a part by one with other rows and a valid hash: a bug in the writer, not on the disk."""
    old = parts(catalog, table)[0]
    rows = pq.read_table(catalog.lake.part_path(old.path), partitioning=None)
    new = write_part(
        catalog.lake, change(rows).cast(rows.schema), table=table, encoding_id=SPEC.encoding_id, width=SPEC.width
    )
    assert catalog.replace_parts([old], new, moved=())


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), values)


def test_offsets_that_do_not_give_the_text_are_found(full: Catalog) -> None:
    forge(full, "sentences", lambda t: _with(t, "char_end", pa.array([n + 1 for n in t["char_end"].to_pylist()])))
    assert ("contents", "sentences_polyseme_mini") in kinds(full)


def test_words_that_are_not_where_they_should_be_are_found(full: Catalog) -> None:
    forge(full, "words", lambda t: _with(t, "word", pa.array(["x"] * t.num_rows)))
    assert kinds(full) == [("contents", "words_polyseme_mini")]


def test_duplicate_rows_are_found(full: Catalog) -> None:
    for table in ("documents", "words"):
        forge(full, table, lambda t: pa.concat_tables([t, t.slice(0, 1)]))
    assert {("contents", "documents_polyseme_mini"), ("contents", "words_polyseme_mini")} <= set(kinds(full))


def test_a_document_without_its_rows_is_found(full: Catalog) -> None:
    forge(full, "documents", lambda t: t.slice(1))
    forge(full, "sentences", lambda t: t.slice(1))
    messages = [f.message for f in check(full).findings]
    assert any(m.startswith("the catalog has documents without a row: a") for m in messages)
    assert any(m.startswith("there are sentences without a document: a") for m in messages)


def test_a_row_that_should_be_hidden_is_found(full: Catalog) -> None:
    lakes.commit(full, SPEC, {"a": ["Newer."]})
    with full.writing() as connection:
        connection.execute(text("DELETE FROM superseded"))
    messages = [f.message for f in check(full).findings]
    assert any(m.startswith("there are rows of documents that are not live in the catalog: a") for m in messages)


def test_unknown_parts_count_once_they_are_old(full: Catalog) -> None:
    made = lakes.encode(full.lake, SPEC, {"z": ["Never committed."]}, run_id="dead", version=9)
    assert (check(full).findings, check(full).fresh) == ((), 3)
    found = check(full, grace=timedelta(0))
    assert {(f.kind, f.subject) for f in found.findings} == {("orphan", part.path) for part in made.parts}
    assert found.broken == frozenset()


@pytest.mark.parametrize(
    ("table", "stale", "lost"),
    [
        ("words", {"a", "b"}, set()),
        ("sentences", {"a", "b"}, set()),
        ("transitions", {"a", "b"}, set()),
        ("documents", {"a", "b"}, {"a", "b"}),
    ],
)
def test_repair_marks_the_documents_of_broken_parts_and_no_others(
    full: Catalog, table: str, stale: set[str], lost: set[str]
) -> None:
    flip(a_file(full, table))
    [done] = repair(full, check(full).broken)
    assert (set(done.stale), set(done.lost), len(done.retired)) == (stale, lost, 1)
    known = full.lookup(SPEC.encoding_id, ["a", "b", "c"])
    assert {doc_id for doc_id, found in known.items() if not found.record_sha256} == stale
    assert repair(full, check(full).broken) == []


def test_what_a_repair_marked_is_a_fault_until_it_is_encoded_again(full: Catalog) -> None:
    flip(a_file(full, "words"))
    repair(full, check(full).broken)
    (fault,) = check(full).findings
    assert (fault.kind, fault.message) == (
        "contents",
        "rows were lost with a broken part and not encoded again yet: a, b",
    )


def test_readers_work_after_a_repair_and_the_documents_are_whole_once_encoded_again(full: Catalog) -> None:
    flip(a_file(full, "words"))
    repair(full, check(full).broken)
    with open_snapshot(full.snapshot(), full.lake) as con:
        assert con.execute("SELECT DISTINCT doc_id FROM words").fetchall() == [("c",)]
    lakes.commit(full, SPEC, {"a": ["The bank.", "It closed."], "b": ["Ja."]})
    with open_snapshot(full.snapshot(), full.lake) as con:
        assert con.execute("SELECT DISTINCT doc_id FROM words ORDER BY ALL").fetchall() == [("a",), ("b",), ("c",)]
    assert check(full).findings == ()


def test_if_only_some_words_were_kept_all_such_documents_are_encoded_again(catalog: Catalog, lake: Lake) -> None:
    catalog.register_encoding(SPEC)
    version = catalog.begin_run("r", SPEC.encoding_id, [])
    for doc_id, words in (("some", frozenset({"bank."})), ("all", None)):
        made = lakes.encode(lake, SPEC, {doc_id: ["The bank."]}, run_id="r", version=version)
        document = lakes.document_version(doc_id, version, outputs=Outputs("words", words, nsp=False))
        catalog.commit_shard(lakes.make_result(SPEC, [document], run_id="r", parts=made.parts))
    flip(a_file(catalog, "words"))
    [done] = repair(catalog, check(catalog).broken)
    assert done.stale == ("some",)
