"""A table in real databases: SQLite, and PostgreSQL and MariaDB where they are installed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests import servers


class Database:
    """A database of one's own: `place` is its address, without a query. `binary` is what it calls binary data."""

    def __init__(self, place: str, url: str | None = None, *, binary: str = "blob") -> None:
        self.place, self._url, self.binary = place, url, binary

    def execute(self, *statements: str) -> None:
        """Run statements, and commit them."""
        if self._url is not None:
            servers.execute(self._url, *statements)
            return
        if self.place.startswith("mysql://"):
            servers.execute_mysql(self.place, *statements)
            return
        with closing(sqlite3.connect(self.place.removeprefix("sqlite:///"))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def query(self, sql: str) -> str:
        return f"{self.place}?query={sql}"


@pytest.fixture(
    params=[
        "sqlite", pytest.param("postgres", marks=pytest.mark.servers), pytest.param("mysql", marks=pytest.mark.servers),
    ]
)  # fmt: skip
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'corpus.db'}")


@pytest.fixture
def postgres_database(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    name = f"corpus_{uuid4().hex}"
    servers.execute(postgres_server, f"CREATE DATABASE {name}")
    monkeypatch.setenv("PGUSER", "postgres")
    server = postgres_server.rpartition("/")[0]
    address = server.replace("postgresql+psycopg://postgres@", "postgresql://")
    yield Database(f"{address}/{name}", f"{server}/{name}", binary="bytea")
    servers.execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def option_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MySQL's option file, of the user `root`."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    file = home / ".my.cnf"
    file.write_text("[client]\nuser = root\n")
    return file


@pytest.fixture
def mysql_database(mariadb_server: str, option_file: Path) -> Iterator[Database]:
    name = f"corpus_{uuid4().hex}"
    servers.execute_mysql(mariadb_server, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield Database(f"{mariadb_server}/{name}")
    servers.execute_mysql(mariadb_server, f"DROP DATABASE {name}")
