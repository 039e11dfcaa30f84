"""Addresses of queries: the same however they are typed, and never with a secret."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.databases.address import LONGEST_QUERY, is_database, parse

SQL = "SELECT id, 'a?b#c%41&d=\u00e9' AS text FROM t WHERE a & b AND c LIKE '%ab%'"


def test_a_query_survives_as_it_is_typed_and_percent_encoded() -> None:
    typed = parse(f"postgresql://h/db?query={SQL}")
    assert typed.query == SQL
    encoded = parse(f"postgresql://h/db?query={quote(SQL, safe='')}")
    assert encoded == typed
    assert parse(typed.uri) == typed
    assert " " not in typed.uri


@pytest.mark.parametrize(
    ("spec", "uri"),
    [
        ("postgres://HOST:5432/db?table=a", "postgresql://host/db?table=a"),
        ("PostgreSQL://host/d%62?table=%61", "postgresql://host/db?table=a"),
        ("postgresql://host:5433/db?cursor=at&table=s.a", "postgresql://host:5433/db?table=s.a"),
        ("postgresql://host/db?table=a&cursor=at", "postgresql://host/db?table=a"),
        ("postgresql:///db?table=a", "postgresql:///db?table=a"),
        ("postgresql://%2Frun%2FPG/db?table=a", "postgresql://%2Frun%2FPG/db?table=a"),
        ("postgresql://[::1]:5432/db?table=a", "postgresql://[::1]/db?table=a"),
        ("postgresql://h/db?query=  SELECT 1 ;\n", "postgresql://h/db?query=SELECT%201"),
        ("MariaDB://HOST:3306/db?table=a", "mysql://host/db?table=a"),
        ("mysql://host:5432/db?table=a", "mysql://host:5432/db?table=a"),
        ("mysql:///db?table=a", "mysql:///db?table=a"),
        ("mysql://%2Frun%2FS/db?table=a", "mysql://%2Frun%2FS/db?table=a"),
        ("sqlite:////a/../b/%3F!/c.db?table=my table", "sqlite:////b/%3F%21/c.db?table=my%20table"),
    ],
)
def test_an_address_is_the_same_however_it_was_typed(spec: str, uri: str) -> None:
    found = parse(spec)
    assert found.uri == uri
    assert parse(found.name) == found


def test_a_path_may_be_relative_or_lead_over_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("real.db")
    assert parse("sqlite:///link.db?table=t").database == os.path.realpath(tmp_path / "real.db")


def test_a_long_query_has_a_short_address_and_its_whole_name() -> None:
    sql = f"SELECT {'x' * LONGEST_QUERY} FROM t"
    found = parse(f"sqlite:////a.db?query={sql}")
    assert len(found.uri) < 100
    assert found.uri != parse(f"sqlite:////a.db?query={sql}2").uri
    assert parse(found.name) == found


def test_a_table_is_quoted() -> None:
    assert parse('sqlite:////a.db?table=main.we"ird').sql == 'SELECT * FROM "main"."we""ird"'
    assert parse("mysql://h/db?table=other.we`ird").sql == "SELECT * FROM `other`.`we``ird`"


@pytest.mark.parametrize(
    "spec",
    [
        "postgresql://me:hush@host/db?table=t", "postgresql://me@hush/db?table=t", "postgresql://me:a/hush@host/db?table=t",
        "postgresql://me:12/hush@host/db?table=t", "postgresql://host/db?table=t&password=hush",
        "postgresql://host/db?user=hush&query=SELECT 1", "postgresql://host/db?query=SELECT%201&sslpassword=hush",
        "postgres://me:hush@host/db", "sqlite:////a.db?key=hush&table=t", "postgresql+psycopg://me:hush@host/db?table=t",
        "mysql://me:hush@host/db?table=t", "mysql+pymysql://me:hush@host/db?table=t",
        "mariadb://host/db?password=hush&table=t", "postgresql://me:a?hush@host/db?table=t", "postgresql://h/hush/x?table=t",
    ],
)  # fmt: skip
def test_a_secret_is_refused_without_being_quoted(spec: str) -> None:
    assert is_database(spec)
    with pytest.raises(UsageError) as caught:
        parse(spec)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("sqlite:////a.db", "needs either"),
        ("sqlite:////a.db?query=", "needs either"),
        ("sqlite:////a.db?table=a&query=SELECT 1", "needs either"),
        ("sqlite:////a.db?table=", "nothing behind table="),
        ("sqlite:////a.db?cursor=a&cursor=b&table=t", "twice"),
        ("sqlite:////a.db?query=SELECT 1 AS text&cursor=id", "query= last"),
        ("sqlite://a.db?table=t", "fourth slash"),
        ("sqlite:////a%00.db?table=t", "NUL"),
        ("postgresql://host?table=t", "postgresql://host:port/database"),
        ("postgresql://host:x/db?table=t", "postgresql://host:port/database"),
        ("postgresql://host:99999/db?table=t", "postgresql://host:port/database"),
        ("mysql://host?table=t", "mysql://host:port/database"),
        ("duckdb:////a.db?table=t", "no database that is read"),
    ],
)
def test_what_is_missing_is_said(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse(spec)
