"""Kept signatures: those of the texts that are asked for, whole or none at all, and of no text that is gone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.sql.kept_signatures import KeptSignatures, forget_gone, load, save
from tests import lakes

LAKE = "0a1b"
NOTHING = KeptSignatures.nothing("made so", 4)
KEPT = NOTHING.with_more(
    [KeptSignatures("made so", ("a", "b", "c"), np.array([3, 0, 5]), np.arange(12, dtype=np.uint32).reshape(3, 4))]
)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "signatures" / f"{LAKE}.arrow"


def rows(found: KeptSignatures | None) -> list[tuple[str, int, list[int]]] | None:
    if found is None:
        return None
    return list(zip(found.contents, found.shingles.tolist(), found.signatures.tolist(), strict=True))


def test_what_is_saved_is_loaded_and_readable_by_this_user_alone(file: Path) -> None:
    assert load(LAKE) is None
    save(LAKE, KEPT)
    found = load(LAKE, NOTHING)
    assert rows(found) == rows(KEPT) == [("a", 3, [0, 1, 2, 3]), ("b", 0, [4, 5, 6, 7]), ("c", 5, [8, 9, 10, 11])]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_those_of_some_texts_have_their_order() -> None:
    assert rows(KEPT.of(["c", "unknown", "a"])) == [("c", 5, [8, 9, 10, 11]), ("a", 3, [0, 1, 2, 3])]


def test_what_was_made_otherwise_is_as_none() -> None:
    save(LAKE, KEPT)
    assert load(LAKE, KeptSignatures.nothing("made otherwise", 4)) is None
    assert load(LAKE, KeptSignatures.nothing("made so", 5)) is None


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "folder"])
def test_a_file_that_is_broken_is_as_none(file: Path, damage: str) -> None:
    save(LAKE, KEPT)
    whole = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "noise": os.urandom(4000), "empty": b""}[damage])
    assert load(LAKE) is None
    save(LAKE, KEPT)
    forget_gone(LAKE, lambda: {"a"})


def test_a_byte_that_is_wrong_ends_no_process(file: Path) -> None:
    save(LAKE, KEPT)
    whole = file.read_bytes()
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        load(LAKE)  # what it finds may be wrong, it may not raise or crash


@pytest.mark.parametrize("folder", ["in the way", "long" * 100])
def test_where_nothing_can_be_written_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
    save(LAKE, KEPT)
    assert load(LAKE) is None
    forget_gone(LAKE, lambda: {"a"})


def test_an_id_of_another_catalog_leads_to_no_other_folder(tmp_path: Path) -> None:
    save("../../x", KEPT)
    assert load("../../x") is None
    assert list(tmp_path.rglob("*.arrow")) == []


def test_vacuum_forgets_texts_that_no_live_document_has(catalog: Catalog) -> None:
    texts = {"a": ["One."], "b": ["Two."], "c": ["Three."], "d": ["One."]}
    spec, a, b, c = lakes.make_spec(), *(lakes.content_of(texts[name]) for name in "abc")
    lakes.commit(catalog, spec, texts)
    other = KeptSignatures("made so", (a, b, c), KEPT.shingles, KEPT.signatures)
    save(catalog.lake_id, other)
    save("another-lake", other)
    version = lakes.commit(catalog, spec, {"b": ["New."]})
    catalog.delete_documents(spec.encoding_id, ["a", "d"], version=version + 1)
    vacuum(catalog, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert rows(load(catalog.lake_id)) == [(c, 5, [8, 9, 10, 11])]
    catalog.delete_documents(spec.encoding_id, ["c"], version=version + 2)
    vacuum(catalog, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert load(catalog.lake_id) is None
    assert rows(load("another-lake")) == rows(other)
