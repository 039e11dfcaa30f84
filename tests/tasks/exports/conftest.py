"""Fixtures: a lake of three documents, and a server with pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import lakes, servers
from tests.extras import require
from tests.tasks.exports.lake_rows import SPEC, TEXTS


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as opened:
        lakes.commit(opened, SPEC, TEXTS)
        yield opened


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="session")
def pgvector_server(postgres_server: str) -> str:
    """The URL of a real PostgreSQL server that has pgvector."""
    require("pgvector", "parity")
    if not servers.has_extension(postgres_server, "vector"):
        pytest.skip("needs pgvector on the server: apt-get install postgresql-NN-pgvector, or its sources")
    return postgres_server
