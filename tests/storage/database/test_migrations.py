"""Migrations: a lake of an older format opens and stays whole; one of a newer format is refused."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.locating import parts_holding
from polyseme.storage.database.migrations import STEPS
from polyseme.storage.database.part_rows import live_parts
from polyseme.storage.database.schema import FORMAT_VERSION, metadata
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts
from polyseme.storage.sql.connection import connect
from tests import lakes
from tests.repository import ROOT

FORMAT_1 = ROOT / "tests" / "fixtures" / "format1"
"""Written by the first release: three runs over four documents, one of them replaced, one moved, one deleted."""
FORMAT_5 = ROOT / "tests" / "fixtures" / "format5"
"""Three runs over four documents: one was replaced and one deleted, which can be restored; then one moved."""
MONEY, GONE = "file:///corpus/money.txt", "file:///corpus/gone.txt"
VISIBLE = [
    ("file:///corpus/money.txt", "file:///corpus/money.txt", 3),
    ("file:///corpus/river.txt", "file:///corpus/river.txt", 2),
    ("jl", "file:///corpus/b.jsonl", 2),
]


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    shutil.copytree(FORMAT_1, tmp_path / "old")
    return Lake(tmp_path / "old")


def columns(catalog: Catalog) -> dict[str, set[str]]:
    with catalog.reading() as connection:
        found = inspect(connection)
        return {name: {c["name"] for c in found.get_columns(name)} for name in found.get_table_names()}


def test_there_is_a_step_from_every_older_format() -> None:
    assert sorted(STEPS) == list(range(1, FORMAT_VERSION))


def test_a_lake_of_format_1_opens_with_everything_in_it(old: Lake) -> None:
    with connect(old.root) as con:
        found = con.execute("SELECT doc_id, uri, n_sentences FROM documents ORDER BY doc_id").fetchall()
        assert found == VISIBLE
        assert con.execute("SELECT count(*) FROM words WHERE word_lower = 'bank'").fetchone() == (2,)


def test_a_migrated_lake_has_the_tables_of_a_new_one(old: Lake, tmp_path: Path) -> None:
    with Catalog.open(old) as migrated, Catalog.create_or_open(Lake(tmp_path / "new")) as fresh:
        assert columns(migrated) == columns(fresh)
        assert set(columns(fresh)) == set(metadata.tables)
        assert verify(migrated, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
        assert migrated.encodings()[0].name == "polyseme_mini"
        known = migrated.lookup(migrated.encodings()[0].encoding_id, ["jl", "file:///corpus/river.txt"])
        assert {doc_id: found.order for doc_id, found in known.items()} == {
            "jl": (2, 2),
            "file:///corpus/river.txt": (1, 1),
        }


def test_a_migrated_lake_is_used_like_any_other(old: Lake) -> None:
    with Catalog.create_or_open(old) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"new": ["The bank."]})
        assert {m.outcome for m in compact(catalog).merges} == {"merged"}
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
    with connect(old.root) as con:
        assert con.execute("SELECT doc_id, uri, n_sentences FROM documents ORDER BY doc_id").fetchall() == VISIBLE


def test_a_migration_that_dies_leaves_the_old_format(old: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(connection: object) -> None:
        STEP(connection)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    STEP = STEPS[1]
    monkeypatch.setitem(STEPS, 1, die)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        Catalog.open(old)
    with sqlite3.connect(old.catalog_path) as raw:
        assert raw.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchall() == [("1",)]
        assert not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'retired_parts'").fetchall()
    raw.close()
    monkeypatch.undo()
    with Catalog.open(old) as catalog:
        assert catalog.snapshot().default is not None


def test_a_run_that_was_killed_in_format_4_has_its_counts_and_died(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec()
    version = lakes.commit(catalog, spec, {"a": ["The bank.", "It closed."], "b": ["Another one."]})
    lakes.begin(catalog, spec, "ended")
    catalog.finish_run("ended", "completed", Counts(), skipped=0, deleted=0, rejected=0)
    with catalog.writing() as connection:
        undo_6(connection)
        for column in ("host", "process", "seen_at"):
            connection.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
        connection.execute(text("UPDATE runs SET started_at = '2026-01-01T00:00:00+00:00'"))
        connection.execute(text("UPDATE shards SET committed_at = '2026-01-02T00:00:00+00:00'"))
        connection.execute(text("UPDATE meta SET value = '4' WHERE key = 'format_version'"))
    with Catalog.open(lake) as migrated:
        killed, ended = migrated.snapshot().runs.to_pylist()
    assert killed["ordinal"] == version
    assert (killed["state"], killed["finished_at"]) == ("died", "2026-01-02T00:00:00.000000+00:00")
    assert [killed[name] for name in ("documents", "sentences", "words", "tokens")] == [2, 3, 6, 14]
    assert killed["bytes"] > 0
    assert (ended["state"], ended["documents"], ended["seen_at"]) == ("completed", 0, None)


def test_a_lake_of_format_5_knows_its_rows_by_their_version_and_not_where_they_are(tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(FORMAT_5, tmp_path / "old"))
    with Catalog.open(lake) as catalog:
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
        (encoding,) = catalog.encodings()
        ids = [MONEY, "file:///corpus/river.txt", "jl"]
        known = catalog.lookup(encoding.encoding_id, ids)
        assert {doc_id: found.version for doc_id, found in known.items()} == dict(zip(ids, (2, 1, 1), strict=True))
        for found in known.values():
            unknown = (found.rows_version, found.rows_shard, found.content_sha256, found.device)
            assert unknown == (None, None, None, None)
        with catalog.reading() as connection:
            located = parts_holding(connection, encoding.encoding_id, "words", [MONEY])
            words = [p for p in live_parts(connection) if p.table == "words"]
        assert located.versions == {MONEY: 2}
        assert list(located.parts) == words
        assert len(words) == 2
        assert [d.doc_id for d in restore(catalog, deleted_documents(catalog)).documents] == [GONE]
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
    with connect(lake.root) as con:
        found = con.execute("SELECT doc_id, n_sentences, uri FROM documents ORDER BY doc_id").fetchall()
        assert found == [
            (GONE, 2, GONE),
            (MONEY, 3, MONEY),
            ("file:///corpus/river.txt", 3, "file:///corpus/moved/river.txt"),
            ("jl", 2, "file:///corpus/b.jsonl"),
        ]


def test_what_was_deleted_in_format_5_has_the_rows_of_its_version(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec()
    lakes.commit(catalog, spec, {"a": ["The bank."], "b": ["Another one."]})
    version = lakes.begin(catalog, spec, "deletes")
    catalog.delete_documents(spec.encoding_id, ["a"], version=version)
    with catalog.writing() as connection:
        undo_6(connection)
        connection.execute(text("UPDATE meta SET value = '5' WHERE key = 'format_version'"))
    with Catalog.open(lake) as migrated:
        assert columns(migrated).keys() == set(metadata.tables)
        (deleted,) = deleted_documents(migrated)
        assert (deleted.version, deleted.rows_version) == (1, 1)
        restore(migrated, [deleted])
        assert migrated.lookup(spec.encoding_id, ["a"])["a"].version == 1
        lakes.commit(migrated, spec, {"c": ["A third."]})
        with migrated.reading() as connection:
            found = [len(parts_holding(connection, spec.encoding_id, "words", [d]).parts) for d in ("a", "c")]
        assert found == [2, 2]  # c is in the new part, and the range of the old one is not known


def undo_6(connection: Connection) -> None:
    """Make a catalog of today's format one of format 5."""
    connection.execute(text("DROP INDEX document_versions_by_content"))
    for table in ("redescribed", "skipped_files", "files"):
        connection.execute(text(f"DROP TABLE {table}"))
    for table, added in {
        "runs": ("redescribed", "reused_sentences", "reused_tokens", "unknown_tokens", "unknown_documents"),
        "parts": ("first_shard", "last_shard"),
        "document_versions": ("rows_version", "rows_shard", "content_sha256", "device"),
        "deleted_documents": ("rows_version",),
        "superseded": ("n_tokens",),
    }.items():
        for column in added:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))


@pytest.mark.parametrize("value", [str(FORMAT_VERSION + 1), None])
def test_a_newer_or_unknown_format_is_refused_and_not_changed(old: Lake, value: str | None) -> None:
    with sqlite3.connect(old.catalog_path) as raw:
        if value is None:
            raw.execute("DELETE FROM meta WHERE key = 'format_version'")
        else:
            raw.execute("UPDATE meta SET value = ? WHERE key = 'format_version'", (value,))
    raw.close()
    for opening in (Catalog.open, Catalog.create_or_open):
        with pytest.raises(LakeError, match="Upgrade Polyseme"):
            opening(old)
    with sqlite3.connect(old.catalog_path) as raw:
        assert not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'retired_parts'").fetchall()
    raw.close()
