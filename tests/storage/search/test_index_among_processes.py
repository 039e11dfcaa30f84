"""The index where other processes make, join and remove it meanwhile, or are killed: nothing is missing or lost."""

from __future__ import annotations

import os
import resource
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.search.index import Index, IndexFiles, Progress
from polyseme.storage.search.segment import Segment
from tests.storage.search.indexes import assert_is_of_the_parts, commit, files_of, opened


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


def test_what_a_killed_process_left_is_removed(catalog: Catalog, cache: Path) -> None:
    cache.mkdir(parents=True)
    left = cache / "x.new"
    left.touch()
    os.utime(left, (time.time() - 90_000,) * 2)
    commit(catalog, "a")
    opened(catalog)
    assert not left.exists()


def test_nothing_is_missing_if_another_process_makes_it_of_newer_parts_meanwhile(catalog: Catalog) -> None:
    for name in "abc":
        commit(catalog, name)
    older = files_of(catalog)

    def meanwhile(progress: Progress) -> None:
        if progress.done == progress.rows and not newer:
            commit(catalog, "a", sentences=30)
            compact(catalog, CompactionPolicy())
            newer.append(opened(catalog))

    newer: list[Index] = []
    index = older.open(lambda: None, meanwhile)
    assert sorted(part for used in index.used for part in used) == sorted(older._parts)
    assert_is_of_the_parts(catalog, opened(catalog))


def test_an_index_that_is_joined_by_another_process_meanwhile_is_not_made_again(
    catalog: Catalog, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        commit(catalog, name)
        opened(catalog)
    listed = IndexFiles._files

    def then_joined(files: IndexFiles) -> list[Path]:
        monkeypatch.setattr(IndexFiles, "_files", listed)
        found = listed(files)
        segments = files._segments()
        files._rewrite(segments, segments, lambda: None)
        return found

    monkeypatch.setattr(IndexFiles, "_files", then_joined)
    assert_is_of_the_parts(catalog, opened(catalog))
    assert len(made) == 3


def test_an_index_is_not_lost_where_a_process_has_no_file_left_to_open(
    catalog: Catalog, cache: Path, made: list[str]
) -> None:
    commit(catalog, "a")
    opened(catalog)
    (file,) = cache.iterdir()
    files = files_of(catalog)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(file, os.O_RDONLY)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))  # one to open a file, and none to map it
        with pytest.raises(OSError, match="Too many open files"):
            files.open(lambda: None, lambda progress: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert_is_of_the_parts(catalog, opened(catalog))
    assert (list(cache.iterdir()), len(made)) == ([file], 1)


def test_a_vacuum_removes_segments_that_are_of_another_frame(catalog: Catalog, cache: Path) -> None:
    commit(catalog, "a")
    opened(catalog)
    (older,) = cache.iterdir()
    hidden = older.rename(older.with_suffix(".hidden"))
    commit(catalog, "b")
    compact(catalog, CompactionPolicy())
    opened(catalog)
    hidden.rename(older)
    assert len(list(cache.iterdir())) == 2
    vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC))
    assert len(list(cache.iterdir())) == 1
    assert_is_of_the_parts(catalog, opened(catalog))
