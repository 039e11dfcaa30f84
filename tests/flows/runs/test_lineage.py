"""Lineage: the keys of a lake and its sources as assets."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.assets import Asset

from polyseme.flows.runs.lineage import asset_key, is_there


@pytest.mark.parametrize("name", ["lake", "a lake", "100% [new]", "x" * 900, "日本"])
def test_any_path_gives_a_key_that_prefect_takes(tmp_path: Path, name: str) -> None:
    key = asset_key(str(tmp_path / name))
    assert Asset(key=key).key == key
    assert key.startswith("file:///")


def test_an_address_is_its_own_key() -> None:
    assert asset_key("s3://bucket/folder/all.jsonl") == "s3://bucket/folder/all.jsonl"


def test_what_is_not_a_file_or_folder_has_no_asset(tmp_path: Path) -> None:
    there = tmp_path / "a.txt"
    there.touch()
    places = [str(there), there.as_uri(), "-", "*.txt", "lake and uri LIKE 'file:///%'", "lake and " + "x" * 5000]
    assert [place for place in places if is_there(place)] == places[:2]
    addresses = ["s3://bucket/c/", "https://example.org/a.html", "s3://bucket/*.txt"]
    assert [place for place in addresses if is_there(place)] == addresses[:2]
