"""Restoring: what was deleted can be shown again as it was, until vacuum ends the time for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import deletions, part_rows
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.maintenance.vacuum import GRACE, vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.schemas import TABLES
from polyseme.storage.sql.connection import open_snapshot
from tests import lakes

SPEC = lakes.make_spec()
PURGE = CompactionPolicy(min_dead=0.0)
IN_TIME, LATE = GRACE - timedelta(minutes=1), GRACE + timedelta(minutes=1)


def contents(catalog: Catalog) -> dict[str, list[tuple[object, ...]]]:
    with open_snapshot(catalog.snapshot(), catalog.lake) as con:
        return {table: con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in TABLES}


def fill(catalog: Catalog) -> int:
    """Commit three documents, one of them twice and one moved. Return the ordinal of a run that follows."""
    lakes.commit(catalog, SPEC, {"a": ["An older text."], "b": ["The bank."]})
    lakes.commit(catalog, SPEC, {"a": ["The river.", "It rose."], "c": ["The court."]})
    catalog.move_documents(SPEC.encoding_id, [("b", "file:///moved/b.txt")])
    return lakes.begin(catalog, SPEC, "deleting")


def whole(catalog: Catalog) -> bool:
    return not verify(catalog, grace=GRACE, now=datetime.now(UTC)).findings


@pytest.mark.parametrize("after", ["nothing", "compaction", "vacuum in time"])
def test_deleted_documents_come_back_with_all_their_rows(catalog: Catalog, after: str) -> None:
    version = fill(catalog)
    before = contents(catalog)
    assert catalog.delete_documents(SPEC.encoding_id, ["a", "b"], version=version) == 2
    if after == "compaction":
        assert compact(catalog, PURGE).merges
        assert compact(catalog, PURGE).merges == [], "rows that can be restored are not dead"
        assert whole(catalog)
    if after == "vacuum in time":
        compact(catalog, PURGE)
        vacuum(catalog, now=datetime.now(UTC) + IN_TIME)
        compact(catalog, PURGE)
    found = deleted_documents(catalog, run_id="deleting")
    assert [(d.doc_id, d.uri, d.run_id) for d in found] == [
        ("a", lakes.uri_of("a"), "deleting"),
        ("b", "file:///moved/b.txt", "deleting"),
    ]
    done = restore(catalog, found)
    assert ([d.doc_id for d in done.documents], done.gone) == (["a", "b"], ())
    assert contents(catalog) == before
    assert whole(catalog)
    assert deleted_documents(catalog) == []
    assert restore(catalog, found).documents == ()


def test_vacuum_after_the_grace_period_ends_it_and_compaction_drops_the_rows(catalog: Catalog) -> None:
    version = fill(catalog)
    catalog.delete_documents(SPEC.encoding_id, ["a", "b", "c"], version=version)
    found = deleted_documents(catalog)
    vacuum(catalog, now=datetime.now(UTC) + LATE)
    assert deleted_documents(catalog) == []
    assert restore(catalog, found).documents == ()
    compact(catalog, PURGE)
    with catalog.reading() as connection:
        assert part_rows.live_parts(connection) == []
    assert whole(catalog)


def test_rows_that_are_gone_are_said_to_be_gone_and_nothing_else_changes(catalog: Catalog) -> None:
    version = fill(catalog)
    catalog.delete_documents(SPEC.encoding_id, ["a"], version=version)
    found = deleted_documents(catalog)
    with catalog.reading() as connection:
        parts = part_rows.live_parts(connection)
    with catalog.writing() as connection:
        part_rows.retire(connection, parts, reason="broken", at="2026-11-01T00:00:00+00:00")
    done = restore(catalog, found)
    assert (done.documents, [d.doc_id for d in done.gone]) == ((), ["a"])
    assert catalog.lookup(SPEC.encoding_id, ["a"]) == {}


def test_documents_are_chosen_by_run_address_or_id(catalog: Catalog) -> None:
    version = fill(catalog)
    catalog.delete_documents(SPEC.encoding_id, ["a", "b"], version=version)
    catalog.delete_documents(SPEC.encoding_id, ["c"], version=lakes.begin(catalog, SPEC, "later"))

    def chosen(**conditions: str) -> list[str]:
        return [d.doc_id for d in deleted_documents(catalog, **conditions)]

    assert chosen() == ["c", "a", "b"]
    assert chosen(run_id="later") == ["c"]
    assert chosen(uri_prefix="file:///corpus/") == ["c", "a"]
    assert chosen(doc_id="b") == ["b"]
    assert chosen(doc_id="b", run_id="later") == []


def test_a_document_that_was_embedded_again_since_stays_as_it_is(catalog: Catalog) -> None:
    version = fill(catalog)
    catalog.delete_documents(SPEC.encoding_id, ["a"], version=version)
    found = deleted_documents(catalog)
    lakes.commit(catalog, SPEC, {"a": ["A new text."]})
    before = contents(catalog)
    assert deleted_documents(catalog) == []
    assert restore(catalog, found).documents == ()
    assert contents(catalog) == before


def test_a_restored_document_can_be_deleted_and_restored_again(catalog: Catalog) -> None:
    fill(catalog)
    before = contents(catalog)
    for run_id in ("one", "two"):
        catalog.delete_documents(SPEC.encoding_id, ["b"], version=lakes.begin(catalog, SPEC, run_id))
        assert len(contents(catalog)["documents"]) == 2
        assert len(restore(catalog, deleted_documents(catalog, run_id=run_id)).documents) == 1
    assert contents(catalog) == before


def test_documents_deleted_before_this_format_are_not_offered(catalog: Catalog) -> None:
    version = fill(catalog)
    catalog.delete_documents(SPEC.encoding_id, ["a"], version=version)
    with catalog.writing() as connection:
        deletions.forget(connection, SPEC.encoding_id, ["a"])
    assert deleted_documents(catalog) == []
    compact(catalog, PURGE)
    assert whole(catalog)
