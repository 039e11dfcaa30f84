"""Fixtures: a new lake and its open catalog for every test, once in SQLite and once in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import EncodingSpec
from tests import lakes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = [mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "database"]
    if "catalog" in metafunc.fixturenames and not chosen:
        both = ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)]
        metafunc.parametrize("database", both, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str | None:
    """Return the catalog's URL; None for the one in the lake's folder."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def lake(tmp_path: Path, database: str | None) -> Lake:
    return Lake(tmp_path / "lake", database)


@pytest.fixture
def catalog(lake: Lake) -> Iterator[Catalog]:
    with Catalog.create_or_open(lake) as opened:
        yield opened


@pytest.fixture
def spec(catalog: Catalog) -> EncodingSpec:
    made = lakes.make_spec()
    catalog.register_encoding(made)
    return made
