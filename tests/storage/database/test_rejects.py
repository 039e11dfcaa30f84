"""Rejects in a catalog: each one once, until a later run has scanned the same place."""

from __future__ import annotations

from polyseme.storage.catalog import Catalog
from polyseme.storage.records import EncodingSpec, Reject
from tests import lakes


def reject(uri: str, locator: str = "", code: str = "bad") -> Reject:
    return Reject(uri, locator, "read", code, f"{uri} is bad", "it's", None)


def rejected(catalog: Catalog) -> set[tuple[str, str, str]]:
    return {(r["run_id"], r["uri"], r["locator"]) for r in catalog.snapshot().rejects.to_pylist()}


def test_the_same_reject_twice_in_a_run_is_one(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "r")
    for _ in range(2):
        catalog.record_rejects("r", [reject("a", "line 1"), reject("a", "line 2")])
    assert rejected(catalog) == {("r", "a", "line 1"), ("r", "a", "line 2")}


def test_a_later_scan_replaces_the_rejects_of_what_it_scanned(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "old")
    catalog.record_rejects("old", [reject("mended"), reject("still bad"), reject("not scanned")])
    lakes.begin(catalog, spec, "new")
    catalog.record_rejects("new", [reject("still bad")])
    catalog.retire_rejects("new", {"mended", "still bad", "fine"}.__contains__)
    assert rejected(catalog) == {("new", "still bad", ""), ("old", "not scanned", "")}


def test_an_older_run_cannot_retire_a_newer_ones_rejects(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "old")
    lakes.begin(catalog, spec, "new")
    catalog.record_rejects("new", [reject("a")])
    catalog.retire_rejects("old", {"a"}.__contains__)
    assert rejected(catalog) == {("new", "a", "")}
