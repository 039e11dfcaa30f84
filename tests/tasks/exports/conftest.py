"""Fixtures: a lake of three documents, a target of each format, and a server with pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import lakes, servers
from tests.extras import require
from tests.tasks.exports.lake_rows import SPEC, TEXTS, Target
from tests.tasks.exports.read_back import LIBRARIES, READERS, FolderTarget, TableTarget

FORMATS = [
    *(pytest.param(name, marks=pytest.mark.extra) if name in LIBRARIES else name for name in READERS),
    pytest.param("pgvector", marks=pytest.mark.servers),
]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as opened:
        lakes.commit(opened, SPEC, TEXTS)
        yield opened


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(params=FORMATS)
def target(request: pytest.FixtureRequest, out: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Return a place to export to, of every format in turn."""
    name: str = request.param
    if name in LIBRARIES:
        require(*LIBRARIES[name])
    if name != "pgvector":
        return FolderTarget(name, out)
    server: str = request.getfixturevalue("pgvector_server")
    monkeypatch.setenv("PGUSER", "postgres")
    schema = f"t{uuid4().hex}"
    servers.execute(server, f"CREATE SCHEMA {schema}")
    return TableTarget(name, server, f"{schema}.vectors")


@pytest.fixture(scope="session")
def pgvector_server(postgres_server: str) -> str:
    """The URL of a real PostgreSQL server that has pgvector."""
    require("pgvector", "parity")
    if not servers.has_extension(postgres_server, "vector"):
        pytest.skip("needs pgvector on the server: apt-get install postgresql-NN-pgvector, or its sources")
    return postgres_server
