"""Exports to pgvector: addresses without secrets, errors without them, and a table that answers."""

from __future__ import annotations

from uuid import uuid4

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.exports.export import Request, opened_export
from tests import servers
from tests.extras import require
from tests.tasks.exports.lake_rows import export
from tests.tasks.exports.read_back import TableTarget


@pytest.fixture
def database(pgvector_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a new database, as a user who may do everything."""
    name = f"d{uuid4().hex}"
    servers.execute(pgvector_server, f"CREATE DATABASE {name}")
    monkeypatch.setenv("PGUSER", "postgres")
    return pgvector_server.rsplit("/", 1)[0] + f"/{name}"


def test_an_address_with_a_password_is_refused_and_not_repeated(catalog: Catalog) -> None:
    request = Request(format="pgvector", out="postgresql://me:s3cret@host/db?table=t")
    with pytest.raises(UsageError, match="PGPASSWORD") as raised, opened_export(catalog.lake, request):
        pass
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("out", ["vectors", "postgresql://host/db?query=SELECT 1", "sqlite:////a.db?table=t"])
def test_a_target_that_is_no_table_of_postgresql_is_refused(catalog: Catalog, out: str) -> None:
    request = Request(format="pgvector", out=out)
    with pytest.raises(UsageError, match="takes the address of a table"), opened_export(catalog.lake, request):
        pass


@pytest.mark.extra
def test_a_server_that_does_not_answer_is_named(catalog: Catalog) -> None:
    require("psycopg", "postgres")
    request = Request(format="pgvector", out=f"postgresql://127.0.0.1:{servers.free_port()}/db?table=t")
    with (
        pytest.raises(PolysemeError, match=r"127\.0\.0\.1.*PGUSER and PGPASSWORD"),
        opened_export(catalog.lake, request),
    ):
        pass


@pytest.mark.servers
def test_who_may_not_make_the_extension_is_told_who_may(
    catalog: Catalog, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.execute(database, f"GRANT ALL ON SCHEMA public TO {servers.LOCKED_USER}")
    monkeypatch.setenv("PGUSER", servers.LOCKED_USER)
    monkeypatch.setenv("PGPASSWORD", "wrong-s3cret")
    target = TableTarget("pgvector", database, "vectors")
    with pytest.raises(PolysemeError, match="password authentication failed") as raised:
        export(catalog, target)
    assert "s3cret" not in str(raised.value)
    monkeypatch.setenv("PGPASSWORD", servers.LOCKED_PASSWORD)
    with pytest.raises(UsageError, match="CREATE EXTENSION vector"):
        export(catalog, target)
    assert not target.exists()


@pytest.mark.servers
def test_the_table_finds_what_is_near(catalog: Catalog, database: str) -> None:
    target = TableTarget("pgvector", database, "vectors")
    export(catalog, target)
    servers.execute(database, "CREATE INDEX ON vectors USING hnsw (embedding vector_cosine_ops)")
    for row in target.rows():
        query = f"SELECT text FROM vectors ORDER BY embedding <=> '{row['embedding']}' LIMIT 1"
        assert target.value(query) == row["text"]
