"""Runs in a catalog: ordinals that only grow, and what each run did."""

from __future__ import annotations

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import runs
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Counts, EncodingSpec
from tests import lakes


def test_ordinals_only_grow(catalog: Catalog, spec: EncodingSpec) -> None:
    assert [lakes.begin(catalog, spec, run_id) for run_id in ("b", "a", "c")] == [1, 2, 3]


def test_a_run_begins_once(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "r")
    with pytest.raises(PolysemeError, match="already begun"):
        lakes.begin(catalog, spec, "r")


def test_a_run_keeps_what_it_did(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "r")
    counts = Counts(documents=2, tokens=30, seconds={"encode": 1.5})
    catalog.finish_run("r", "failed", counts, skipped=3, deleted=4, rejected=5, error="disk full")
    (run,) = catalog.snapshot().runs.to_pylist()
    assert run["finished_at"] > run["started_at"]
    shown = ("state", "documents", "tokens", "skipped", "deleted", "rejected", "seconds", "error")
    assert [run[name] for name in shown] == ["failed", 2, 30, 3, 4, 5, '{"encode": 1.5}', "disk full"]


def test_documents_that_were_only_rounded_are_counted_shard_by_shard(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "r")
    lakes.begin(catalog, spec, "s")
    with catalog.writing() as connection:
        for documents in (2, 0, 3):
            runs.add_committed(connection, "r", Counts(documents=documents + 1, rounded_documents=documents))
        runs.add_committed(connection, "s", Counts(documents=7))
    catalog.finish_run("r", "completed", Counts(), skipped=0, deleted=0, rejected=0)
    shown = [(run["documents"], run["rounded_documents"]) for run in catalog.snapshot().runs.to_pylist()]
    assert shown == [(8, 5), (7, 0)]


def test_a_run_that_never_began_cannot_finish(catalog: Catalog) -> None:
    with pytest.raises(PolysemeError, match="never began"):
        catalog.finish_run("r", "done", Counts(), skipped=0, deleted=0, rejected=0)
