"""Lineage: what a lake and its sources are called as assets."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.assets import Asset

from flows.lineage import asset_key


@pytest.mark.parametrize("name", ["lake", "a lake", "100% [new]", "x" * 900, "日本"])
def test_any_path_gives_a_key_that_prefect_takes(tmp_path: Path, name: str) -> None:
    key = asset_key(str(tmp_path / name))
    assert Asset(key=key).key == key
    assert key.startswith("file:///")


def test_an_address_stays_what_it_is() -> None:
    assert asset_key("s3://bucket/folder/all.jsonl") == "s3://bucket/folder/all.jsonl"
