"""A fresh lake and its open catalog for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.catalog import Catalog
from storage.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def catalog(lake: Lake) -> Iterator[Catalog]:
    with Catalog.create_or_open(lake) as opened:
        yield opened
