"""The index: made of new parts alone, joined by copying, never the truth, and gone with what it is of."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.records import EncodingSpec
from polyseme.storage.search import index as module
from polyseme.storage.search.candidate_vectors import CandidateVectors
from polyseme.storage.search.candidates import Candidates
from polyseme.storage.search.index import Index, IndexFiles, Progress
from polyseme.storage.search.pieces import PartError
from polyseme.storage.search.segment import Segment
from tests import lakes

SPEC = lakes.make_spec(width=70)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "codes"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the parts whose vectors are read."""
    read: list[str] = []
    of_part = module.piece_of_part
    monkeypatch.setattr(module, "piece_of_part", lambda path, *how: (read.append(path), of_part(path, *how))[1])
    return read


def commit(catalog: Catalog, *doc_ids: str, sentences: int = 3, spec: EncodingSpec = SPEC) -> None:
    lakes.commit(catalog, spec, {d: [f"{d} {i}." for i in range(sentences)] for d in doc_ids})


def opened(catalog: Catalog, table: str = "sentences") -> Index:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return IndexFiles(catalog.lake, snapshot, snapshot.default, table).open(lambda: None, lambda progress: None)


def assert_is_of_the_parts(catalog: Catalog, index: Index, table: str = "sentences") -> None:
    """Compare documents, sentences, codes and vectors of every live row with the parts themselves."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    parts = snapshot.parts.get((snapshot.default.encoding_id, table), ())
    assert sorted(part for used in index.used for part in used) == sorted(parts)
    for segment, used in zip(index.segments, index.used, strict=True):
        for number in (n for n, part in enumerate(segment.parts) if part in used):
            rows = np.arange(segment.starts[number], segment.starts[number + 1])
            assert_rows(catalog.lake, segment, number, rows)


def of_rows(segment: Segment, rows: np.ndarray) -> Candidates:
    return Candidates(segment, rows, np.ones(len(rows), np.float32))


def assert_rows(lake: Lake, segment: Segment, number: int, rows: np.ndarray) -> None:
    with lake.files.fetched(segment.parts[number]) as file:
        stored = pq.read_table(file, partitioning=None)
    document, sentence = segment.documents_of(rows)
    assert segment.doc_id.take(pa.array(document)).to_pylist() == stored["doc_id"].to_pylist()
    assert segment.version[document].tolist() == stored["version"].to_pylist()
    assert sentence.tolist() == stored["sentence_index"].to_pylist()
    vectors = stored["embedding"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    assert np.array_equal(CandidateVectors(lake).read(of_rows(segment, rows), lambda: None), vectors)
    unit = vectors.astype(np.float32) / np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    assert np.array_equal(segment.coded(rows).bits, segment.frame.encode(unit).bits)


@pytest.mark.parametrize("table", ["sentences", "words"])
def test_every_row_is_found_where_it_is(catalog: Catalog, table: str) -> None:
    commit(catalog, "a", "b", sentences=70)
    commit(catalog, "c")
    index = opened(catalog, table)
    assert_is_of_the_parts(catalog, index, table)
    assert sum(segment.rows for segment in index.segments) > 140


def test_only_new_parts_are_read_and_small_segments_are_joined(catalog: Catalog, cache: Path, made: list[str]) -> None:
    for n in range(30):
        commit(catalog, f"d{n}")
        assert_is_of_the_parts(catalog, opened(catalog))
        assert len(made) == n + 1
        assert len(list(cache.glob("*.codes"))) <= 8
    opened(catalog)
    assert len(made) == 30


def test_progress_is_told_and_what_was_done_before_a_stop_is_kept(
    catalog: Catalog, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def report(progress: Progress) -> None:
        told.append(progress)
        if progress.done == 6:
            raise StoppedError

    monkeypatch.setattr(module, "_MOST_ROWS", 3)
    told: list[Progress] = []
    for name in "abc":
        commit(catalog, name)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    with pytest.raises(StoppedError):
        IndexFiles(catalog.lake, snapshot, snapshot.default, "sentences").open(lambda: None, report)
    assert [progress.done for progress in told] == [0, 3, 6]
    assert {progress.rows for progress in told} == {9}
    assert_is_of_the_parts(catalog, opened(catalog))
    assert len(made) == 3


def test_a_stop_midway_leaves_nothing_behind(catalog: Catalog, cache: Path) -> None:
    class StoppedError(Exception):
        pass

    def check() -> None:
        raise StoppedError

    commit(catalog, "a")
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    with pytest.raises(StoppedError):
        IndexFiles(catalog.lake, snapshot, snapshot.default, "sentences").open(check, lambda progress: None)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("what", ["emptied", "shortened", "changed", "of another lake's width"])
def test_a_damaged_segment_is_made_again(catalog: Catalog, cache: Path, what: str) -> None:
    commit(catalog, "a", "b")
    opened(catalog)
    (file,) = cache.iterdir()
    data = bytearray(file.read_bytes())
    if what == "changed":
        data[-100] ^= 1
    file.write_bytes({"emptied": b"", "shortened": data[:200]}.get(what, bytes(data)))
    if what == "of another lake's width":
        shutil.copy(_of_width(catalog, 8, cache), file)
    assert_is_of_the_parts(catalog, opened(catalog))


def _of_width(catalog: Catalog, width: int, cache: Path) -> Path:
    spec = lakes.make_spec(width=width)
    commit(catalog, "narrow", spec=spec)
    snapshot = catalog.snapshot()
    (encoding,) = (e for e in snapshot.encodings if e.encoding_id == spec.encoding_id)
    before = set(cache.iterdir())
    IndexFiles(catalog.lake, snapshot, encoding, "sentences").open(lambda: None, lambda progress: None)
    (new,) = set(cache.iterdir()) - before
    return new


def test_two_that_make_it_at_once_are_no_harm(catalog: Catalog, cache: Path, tmp_path: Path) -> None:
    commit(catalog, "a", "b")
    opened(catalog)
    (file,) = cache.iterdir()
    shutil.copy(file, file.with_name(f"{file.stem}0.codes"))
    index = opened(catalog)
    assert len(index.segments) == 1
    assert_is_of_the_parts(catalog, index)
    commit(catalog, "c")
    assert_is_of_the_parts(catalog, opened(catalog))
    assert sum(Segment(path, 70).rows for path in cache.iterdir()) == 9


def test_compaction_leaves_no_row_of_parts_that_are_gone(catalog: Catalog, cache: Path) -> None:
    for name in "abc":
        commit(catalog, name)
    opened(catalog)
    compact(catalog, CompactionPolicy())
    assert_is_of_the_parts(catalog, opened(catalog))
    assert sum(Segment(path, 70).rows for path in cache.iterdir()) == 9


def test_a_vacuum_takes_out_what_is_of_removed_parts_and_keeps_the_rest(
    catalog: Catalog, cache: Path, made: list[str]
) -> None:
    for name in "abcd":
        commit(catalog, name)
    opened(catalog)
    commit(catalog, "a")  # a new version
    compact(catalog, CompactionPolicy(target_bytes=1, min_dead=0.1))
    vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=1))
    live = {part for parts in catalog.snapshot().parts.values() for part in parts}
    kept = [Segment(path, 70) for path in cache.iterdir()]
    assert live.issuperset(part for segment in kept for part in segment.parts)
    assert_is_of_the_parts(catalog, opened(catalog))


def test_a_vacuum_removes_the_index_of_an_encoding_that_is_gone_and_of_no_other_lake(
    catalog: Catalog, cache: Path
) -> None:
    commit(catalog, "a")
    opened(catalog)
    (file,) = cache.iterdir()
    other = file.with_name("another-lake-0-sentences-0.codes")
    gone = file.with_name(file.name.replace(SPEC.encoding_id, "0" * 16))
    for path in (other, gone):
        shutil.copy(file, path)
    vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC))
    assert set(cache.iterdir()) == {file, other}


def test_what_a_killed_process_left_is_removed(catalog: Catalog, cache: Path) -> None:
    cache.mkdir(parents=True)
    left = cache / "x.new"
    left.touch()
    os.utime(left, (time.time() - 90_000,) * 2)
    commit(catalog, "a")
    opened(catalog)
    assert not left.exists()


def test_a_part_that_is_gone_is_an_error_of_its_own(catalog: Catalog) -> None:
    commit(catalog, "a")
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    (path,) = snapshot.parts[snapshot.default.encoding_id, "sentences"]
    catalog.lake.files.remove([path])
    with pytest.raises(PartError):
        opened(catalog)


@pytest.mark.parametrize("store", ["int8", "binary"])
def test_vectors_of_a_smaller_tier_are_indexed_as_they_are_read(catalog: Catalog, store: str) -> None:
    lakes.commit(catalog, replace(SPEC, store=store), {"a": ["One.", "Two."], "b": ["Three."]})
    (segment,) = opened(catalog).segments
    vectors = CandidateVectors(catalog.lake).read(of_rows(segment, np.arange(3)), lambda: None).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.array_equal(segment.bits, segment.frame.encode(unit).bits)
