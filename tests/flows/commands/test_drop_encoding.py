"""`polyseme drop-encoding`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import embedded_lakes, lakes
from tests.flows.test_cli import polyseme


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents())
    with Catalog.open(Lake(tmp_path / "lake")) as catalog:
        catalog.register_encoding(lakes.make_spec(), name="small")
    return tmp_path / "lake"


def names(lake: Path) -> list[str]:
    with Catalog.open(Lake(lake)) as catalog:
        return [encoding.name for encoding in catalog.encodings()]


def test_it_says_what_would_go_and_drops_it_with_yes(lake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = polyseme(capfd, "drop-encoding", "small", "--lake", lake)
    assert (code, out) == (
        0,
        "Would drop small: 0 documents, 0.0 MB in 0 parts. Nothing was changed; --yes drops it.\n",
    )
    assert names(lake) == ["polyseme_mini", "small"]
    assert (
        json.loads(polyseme(capfd, "drop-encoding", "small", "--yes", "--json", "--lake", lake)[1])["dropped"] is True
    )
    assert names(lake) == ["polyseme_mini"]


def test_a_wrong_name_and_the_default_end_with_what_to_do(lake: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, says in (("mine", "there are: polyseme_mini, small"), ("polyseme_mini", "status --default small")):
        code, _, err = polyseme(capfd, "drop-encoding", name, "--yes", "--lake", lake)
        assert (code, says in err) == (2, True)
