"""`polyseme export`: a lake in another tool's format from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from polyseme.flows.commands.export import To
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.tasks.exports.formats import Format
from tests import lakes
from tests.flows.test_cli import polyseme


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"alpha": ["The bank is closed.", "Nobody came."]})
    return tmp_path / "lake"


def test_every_format_has_its_name_on_the_command_line() -> None:
    assert get_args(To) == get_args(Format)


def test_an_export_says_what_the_target_has(lake: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("export", "--lake", lake, "--to", "npy", "--out", tmp_path / "out")
    code, out, _ = polyseme(capfd, *words)
    assert code == 0
    assert "2 sentences of 1 document (npy" in out
    assert "It is new." in out
    assert np.load(tmp_path / "out" / "vectors.npy", mmap_mode="r").shape == (2, 4)
    code, out, _ = polyseme(capfd, *words, "--json")
    assert (code, json.loads(out)["rows"], json.loads(out)["rows_written"]) == (0, 2, 0)


def test_a_lake_that_is_not_there_is_not_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = polyseme(capfd, "export", "--lake", tmp_path / "none", "--to", "npy", "--out", tmp_path / "out")
    assert code == 4
    assert not list(tmp_path.iterdir()), err
