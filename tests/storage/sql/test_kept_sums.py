"""Kept sums: they are those of the lake as it is, whatever became of it since they were kept, or of their file."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.sql.centroids import WordCentroids, read_centroids
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.kept_sums import forget_gone, load
from tests import lakes

SPEC = lakes.make_spec()
TEXTS = {
    "a": ["bank money bank river bank", "Bank of money 1931 , , money"],
    "b": ["money river once BANK river river money money"],
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "word-sums"


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    lakes.commit(catalog, SPEC, TEXTS)
    read(catalog)
    return catalog


def read(catalog: Catalog, *, at_least: int = 5, by_lemma: bool = False) -> tuple[WordCentroids, int]:
    """Return the centroids, and how many row groups were read for them."""
    snapshot, checks = catalog.snapshot(), list[None]()
    assert snapshot.default is not None
    found = read_centroids(
        snapshot, catalog.lake, snapshot.default, at_least=at_least, by_lemma=by_lemma, worth_keeping=0,
        check=lambda: checks.append(None),
    )  # fmt: skip
    return found, len(checks)


def assert_current(catalog: Catalog, found: WordCentroids, *, at_least: int = 5) -> None:
    with connect(catalog.lake) as con:
        rows = con.execute("SELECT word_lower, embedding FROM words").fetchall()
    words = sorted({word for word, _ in rows if word.isalpha()})
    vectors = {word: [v for w, v in rows if w == word] for word in words}
    frequent = [word for word in words if len(vectors[word]) >= at_least]
    assert list(found.words) == frequent
    assert found.occurrences.tolist() == [len(vectors[word]) for word in frequent]
    means = np.array([np.mean(np.array(vectors[word], np.float64), axis=0) for word in frequent]).reshape(-1, 4)
    # Not only nearly: what is added and taken out in another order is the same to the last bit.
    assert (found.means == means.astype(np.float32)).all()


def test_a_lake_that_has_not_changed_is_not_read_again(filled: Catalog) -> None:
    first, _ = read(filled)
    shutil.rmtree(filled.lake.data)
    again, groups = read(filled)
    assert groups == 0
    assert again.words == first.words
    assert (again.means == first.means).all()
    rarer, _ = read(filled, at_least=6)
    assert rarer.words == tuple(w for w, n in zip(first.words, first.occurrences, strict=True) if n >= 6)


def test_of_a_lake_that_grows_only_new_parts_are_read_and_words_that_became_frequent(filled: Catalog) -> None:
    lakes.commit(filled, SPEC, {"c": ["money bank bank"]})
    found, groups = read(filled)
    assert groups == 1
    assert_current(filled, found)
    lakes.commit(filled, SPEC, {"d": ["once once once once once"]})
    found, groups = read(filled)
    assert groups == 3  # one occurrence of it was in the first part, which had no sum then
    assert "once" in found.words
    assert_current(filled, found)
    assert read(filled)[1] == 0


def test_vectors_of_a_document_that_is_replaced_deleted_or_restored_are_never_served(filled: Catalog) -> None:
    lakes.commit(filled, SPEC, {"b": ["river river river river river"]})
    found, _ = read(filled)
    assert_current(filled, found)
    lakes.commit(filled, SPEC, {"b": TEXTS["b"]})
    assert_current(filled, read(filled)[0])
    version = filled.begin_run("deletes", SPEC.encoding_id, ["corpus"])
    filled.delete_documents(SPEC.encoding_id, ["b"], version=version)
    assert_current(filled, read(filled)[0])
    lakes.commit(filled, SPEC, {"b": TEXTS["b"], "c": ["bank"]})
    assert_current(filled, read(filled)[0])
    version = filled.begin_run("deletes all", SPEC.encoding_id, ["corpus"])
    filled.delete_documents(SPEC.encoding_id, ["a", "b", "c"], version=version)
    assert read(filled)[0].words == ()


def test_after_parts_are_merged_all_is_summed_again(filled: Catalog) -> None:
    for doc_id in "cde":
        lakes.commit(filled, SPEC, {doc_id: ["money bank bank"]})
    before, _ = read(filled)
    compact(filled, CompactionPolicy())
    after, groups = read(filled)
    assert groups > 0
    assert (after.means == before.means).all()
    assert_current(filled, after)


def test_fewer_occurrences_than_are_kept_are_summed_and_not_kept(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    kept = file.read_bytes()
    found, _ = read(filled, at_least=1)
    assert "once" in found.words
    assert_current(filled, found, at_least=1)
    assert file.read_bytes() == kept


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "folder", "other numbers"])
def test_a_file_that_is_broken_is_as_none(filled: Catalog, cache: Path, damage: str) -> None:
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    elif damage == "other numbers":
        lakes.commit(filled, SPEC, {"c": ["money bank bank"]})
        count = np.array([6], np.int64).tobytes()  # of bank, money or river
        assert count in whole
        file.write_bytes(whole.replace(count, np.array([7], np.int64).tobytes()))
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "noise": os.urandom(4000), "empty": b""}[damage])
    assert_current(filled, read(filled)[0])


def test_a_byte_that_is_wrong_ends_no_process(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    whole, snapshot = file.read_bytes(), filled.snapshot()
    (encoding,) = snapshot.encodings
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        load(snapshot, encoding, by_lemma=False)  # what it finds may be wrong, it may not raise or crash


def test_a_file_that_is_half_written_is_not_read_and_goes_after_a_day(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    half = file.with_name("tmpabc.new")
    half.write_bytes(file.read_bytes()[:100])
    lakes.commit(filled, SPEC, {"c": ["money"]})
    assert_current(filled, read(filled)[0])
    assert half.exists()
    old = time.time() - 25 * 3600
    os.utime(half, (old, old))
    lakes.commit(filled, SPEC, {"d": ["money"]})
    read(filled)
    assert list(cache.iterdir()) == [file]


def test_only_this_user_can_read_the_file(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    assert (file.stat().st_mode & 0o777, cache.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("folder", ["in the way", "long" * 100])
def test_where_nothing_can_be_written_answers_are_the_same(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """As in a container whose home is another user's: `Path.is_file` raises for what may not be looked at."""
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
    lakes.commit(catalog, SPEC, TEXTS)
    assert_current(catalog, read(catalog)[0])
    assert read(catalog)[1] == 1
    forget_gone(catalog.snapshot())


def test_a_small_lake_leaves_no_file(catalog: Catalog, cache: Path) -> None:
    lakes.commit(catalog, SPEC, TEXTS)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    read_centroids(snapshot, catalog.lake, snapshot.default, at_least=5, by_lemma=False)
    assert not cache.exists()


def test_vacuum_removes_what_is_kept_of_documents_and_encodings_that_are_gone(filled: Catalog, cache: Path) -> None:
    (file,) = cache.iterdir()
    others = cache / "another-lake.arrow"
    others.write_bytes(b"")
    lakes.commit(filled, SPEC, {"c": ["money"]})
    vacuum(filled, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert file.exists()  # it only lacks something
    version = filled.begin_run("deletes", SPEC.encoding_id, ["corpus"])
    filled.delete_documents(SPEC.encoding_id, ["a"], version=version)
    vacuum(filled, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert not file.exists()
    read(filled)
    gone = file.with_name(file.name.replace(SPEC.encoding_id, "0123456789abcdef"))
    gone.write_bytes(file.read_bytes())
    vacuum(filled, grace=timedelta(hours=1), now=datetime.now(UTC))
    assert sorted(cache.iterdir()) == sorted([file, others])


def test_a_broken_part_is_named_as_such(filled: Catalog) -> None:
    lakes.commit(filled, SPEC, {"c": ["bank bank money"]})
    snapshot = filled.snapshot()
    assert isinstance(filled.lake.root, Path)
    part = filled.lake.root / snapshot.parts[SPEC.encoding_id, "words"][-1]
    part.chmod(0o600)
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(LakeError, match="polyseme verify"):
        read(filled)


def test_an_id_of_another_catalog_leads_to_no_other_folder(filled: Catalog, cache: Path) -> None:
    snapshot = replace(filled.snapshot(), lake_id="../../x")
    assert snapshot.default is not None
    found = read_centroids(snapshot, filled.lake, snapshot.default, at_least=5, by_lemma=False, worth_keeping=0)
    assert found.words
    assert len(list(cache.parent.rglob("*.arrow"))) == 1
