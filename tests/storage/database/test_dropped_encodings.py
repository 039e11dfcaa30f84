"""Dropped encodings: nothing of one is shown, counted or compacted any more, and its name and id can be used again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, EncodingSpec
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from tests import lakes

TEXTS = {"d": ["The bank.", "Closed."], "e": ["A river."]}
OTHER = lakes.make_spec(context="pair")


def add(catalog: Catalog, spec: EncodingSpec, texts: lakes.Texts = TEXTS) -> None:
    lakes.commit(catalog, spec, texts)
    finish(catalog)


def finish(catalog: Catalog) -> None:
    for run in catalog.snapshot().runs.to_pylist():
        if run["state"] == "running":
            catalog.finish_run(run["run_id"], "completed", Counts(), skipped=0, deleted=0, rejected=0)


@pytest.fixture
def two(catalog: Catalog, spec: EncodingSpec) -> Catalog:
    """A lake of two encodings with the same documents."""
    add(catalog, spec)
    catalog.register_encoding(OTHER, name="pair")
    add(catalog, OTHER)
    return catalog


def files(catalog: Catalog, spec: EncodingSpec) -> list[str]:
    return [found.path for found in catalog.lake.files.listed("data") if spec.encoding_id in found.path]


def test_what_is_dropped_is_nowhere_and_the_other_is_as_it_was(two: Catalog, spec: EncodingSpec) -> None:
    before = two.totals(spec.encoding_id)
    two.drop_encoding("pair")
    publish(two)
    snapshot = two.snapshot()
    assert [e.name for e in snapshot.encodings] == ["polyseme_mini"]
    assert {encoding_id for encoding_id, _ in snapshot.parts} == {spec.encoding_id}
    assert two.totals(OTHER.encoding_id)["documents"] == 0
    assert two.totals(spec.encoding_id) == before
    assert snapshot.runs.num_rows == 2
    assert not verify(two, grace=timedelta(0), now=datetime.now(UTC)).findings
    with connect(two.lake, functions=lambda *_: None) as con:
        views = {name for (name,) in con.execute("SELECT view_name FROM duckdb_views()").fetchall()}
        assert "sentences_polyseme_mini" in views
        assert "sentences_pair" not in views


def test_its_files_go_with_a_vacuum_after_the_grace_period(two: Catalog, spec: EncodingSpec) -> None:
    kept, had = files(two, spec), files(two, OTHER)
    two.drop_encoding("pair")
    vacuum(two, now=datetime.now(UTC))
    assert files(two, OTHER) == had
    vacuum(two, now=datetime.now(UTC) + timedelta(hours=25))
    assert files(two, OTHER) == []
    assert files(two, spec) == kept


def test_it_can_be_made_anew_with_the_same_documents(two: Catalog) -> None:
    two.drop_encoding("pair")
    assert two.register_encoding(OTHER) == "polyseme_mini_pair"
    add(two, OTHER)
    assert two.totals(OTHER.encoding_id)["documents"] == len(TEXTS)
    assert not verify(two, grace=timedelta(0), now=datetime.now(UTC)).findings


def test_its_name_can_be_given_to_another(two: Catalog) -> None:
    two.drop_encoding("pair")
    assert two.register_encoding(lakes.make_spec(context="window"), name="pair") == "pair"


def test_deleted_documents_and_corrections_of_it_are_forgotten(two: Catalog) -> None:
    two.move_documents(OTHER.encoding_id, [("d", "file:///corpus/moved.txt")])
    two.delete_documents(OTHER.encoding_id, ["e"], version=99)
    two.drop_encoding("pair")
    snapshot = two.snapshot()
    assert (snapshot.superseded.num_rows, snapshot.moved.num_rows, snapshot.restorable.num_rows) == (0, 0, 0)


def test_what_views_show_and_what_is_not_there_cannot_be_dropped(two: Catalog) -> None:
    version = two.version
    with pytest.raises(UsageError, match="polyseme status --default pair"):
        two.drop_encoding("polyseme_mini")
    with pytest.raises(UsageError, match="No encoding is named 'mine'; there are: polyseme_mini, pair"):
        two.drop_encoding("mine")
    assert two.version == version


def test_the_only_one_cannot_be_dropped(catalog: Catalog, spec: EncodingSpec) -> None:
    with pytest.raises(UsageError, match="the only one"):
        catalog.drop_encoding("polyseme_mini")


def test_a_run_that_goes_on_keeps_its_encoding(two: Catalog) -> None:
    lakes.begin(two, OTHER, "going")
    with pytest.raises(PolysemeError, match="run going encodes into pair"):
        two.drop_encoding("pair")


def test_a_run_that_was_taken_for_dead_commits_nothing_to_a_dropped_encoding(two: Catalog) -> None:
    version = lakes.begin(two, OTHER, "late")
    made = lakes.encode(two.lake, OTHER, {"f": ["Late."]}, run_id="late", version=version)
    finish(two)
    two.drop_encoding("pair")
    with pytest.raises(PolysemeError, match="was dropped meanwhile"):
        two.commit_shard(made)
    with pytest.raises(PolysemeError, match="was dropped meanwhile"):
        two.encoding(OTHER.encoding_id)
    with two.reading() as connection:
        assert part_rows.live_parts(connection, encoding_id=OTHER.encoding_id) == []
