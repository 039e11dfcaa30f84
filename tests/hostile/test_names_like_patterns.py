"""Files and folders whose names are patterns: each is itself, also while it is away, not what the pattern matches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hostile.lakeside import Lakeside, fill, lakeside, records

__all__ = ["lakeside"]


@pytest.mark.parametrize("name", ["what?", "notes [old]", "a*b.csv"])
def test_a_missing_folder_with_a_wildcard_in_its_name_is_guarded(lakeside: Lakeside, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    fill(folder, 3)
    lakeside.embed(folder)
    shutil.rmtree(folder)
    assert lakeside.embed(folder).tally.deleted == 0
    assert [(h.source, h.documents) for h in lakeside.held()] == [(str(folder), 3)]


@pytest.mark.parametrize("name", ["a[1].jsonl", "a?.jsonl", "*.jsonl", "a[1"])
def test_a_missing_file_or_folder_is_guarded_though_its_name_is_a_pattern_that_matches_others(
    lakeside: Lakeside, tmp_path: Path, name: str
) -> None:
    source = tmp_path / name
    if source.suffix:
        records(source, "x", "y")
    else:
        source.mkdir()
        records(source / "a.jsonl", "x", "y")
    lakeside.embed(source)
    records(tmp_path / "a1.jsonl", "z")
    source.rename(tmp_path / "away")
    for _ in range(2):
        scan = lakeside.embed(source)
        assert (scan.tally.documents, scan.tally.deleted, sorted(lakeside.documents())) == (0, 0, ["x", "y"])
        assert [(h.source, h.reason, h.documents) for h in lakeside.held()] == [(str(source), "nothing-found", 2)]
    (tmp_path / "away").rename(source)
    assert (lakeside.embed(source).tally.unchanged, lakeside.held()) == (2, [])


def test_a_pattern_stays_one_beside_a_known_file_that_it_matches(lakeside: Lakeside, tmp_path: Path) -> None:
    records(tmp_path / "a1.jsonl", "x")
    records(tmp_path / "a2.jsonl", "y")
    lakeside.embed(tmp_path / "a1.jsonl")
    scan = lakeside.embed(tmp_path / "a?.jsonl")
    assert (scan.tally.unchanged, scan.tally.new) == (1, 1)
