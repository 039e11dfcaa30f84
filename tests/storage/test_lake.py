"""A lake's paths: what they resolve to, and that none leaves the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake


def test_a_missing_lake_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="polyseme embed") as caught:
        Catalog.open(Lake(tmp_path / "nowhere"))
    assert caught.value.exit_code == 4


def test_a_lake_cannot_be_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(LakeError, match="--lake"):
        Lake(tmp_path / "lake").create()


@pytest.mark.parametrize("path", ["/etc/passwd", "data/../../x", "../data/x", "catalog.sqlite", "", "data/\0"])
def test_no_part_is_outside_the_lakes_data(lake: Lake, path: str) -> None:
    with pytest.raises(LakeError, match="outside"):
        lake.part_path(path)


def test_a_lake_reached_through_a_link_is_the_lake_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Lake(tmp_path / "link") == Lake(tmp_path / "real")


def test_the_address_of_a_folder_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a lake, 100% [new] é"
    assert Lake(folder.as_uri()) == Lake(folder) == Lake(str(folder))
