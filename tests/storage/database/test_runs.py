"""Runs in a catalog: ordinals that only grow, and what each run did."""

from __future__ import annotations

import pytest

from polyseme.storage.catalog import Catalog
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


def test_a_run_that_never_began_cannot_finish(catalog: Catalog) -> None:
    with pytest.raises(PolysemeError, match="never began"):
        catalog.finish_run("r", "done", Counts(), skipped=0, deleted=0, rejected=0)
