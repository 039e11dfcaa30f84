"""Rows of databases as documents: their values are exact, and nothing can be written."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.databases import rows
from polyseme.tasks.reading.databases.address import parse
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.sources import read_sources, shields
from tests.databases import Database, database, mysql_database, option_file, postgres_database, sqlite_database

__all__ = ["database", "mysql_database", "option_file", "postgres_database", "sqlite_database"]


def read(spec: str, **options: Any) -> list[Document | Reject]:
    sources = resolve([spec])
    found = read_sources(sources, ReadOptions(**options), stdin=io.BytesIO())
    return [item for item in found if not isinstance(item, Skipped)]


def metadata(item: Document | Reject) -> dict[str, Any]:
    assert isinstance(item, Document), item
    found: dict[str, Any] = json.loads(item.metadata)
    return found


def test_rows_are_documents_with_their_columns(database: Database) -> None:
    database.execute(
        f"CREATE TABLE t (id integer, text text, title text, views bigint, data {database.binary})",
        "INSERT INTO t VALUES (7, 'A heron.', ' On herons ', 9007199254740993, NULL), (8, NULL, NULL, 0, NULL)",
    )
    address = parse(f"{database.place}?table=t").uri
    found, refused = read(f"{database.place}?table=t")
    assert found == Document(
        "7", address, "A heron.", "row 1", title="On herons", metadata='{"data":null,"views":9007199254740993}'
    )
    assert isinstance(refused, Reject)
    assert (refused.code, refused.locator, refused.doc_id) == ("empty-text", "row 2", "8")


def test_a_row_without_an_id_has_its_number(database: Database) -> None:
    spec = database.query("SELECT 'a' AS text UNION ALL SELECT 'b' ORDER BY 1")
    database.execute("CREATE TABLE t (id integer)")
    assert [item.doc_id for item in read(spec)] == [f"{parse(spec).uri}#{number}" for number in (1, 2)]


def test_a_column_that_occurs_twice_is_kept_twice(database: Database) -> None:
    database.execute("CREATE TABLE t (id integer)")
    (found,) = read(database.query("SELECT 'a' AS text, 1 AS n, 2 AS n"))
    assert metadata(found) == {"n": 1, "n_2": 2}


def test_fields_are_named_by_options(database: Database) -> None:
    database.execute("CREATE TABLE t (id integer)")
    spec = database.query("SELECT 'x' AS slug, 'a' AS body, 'b' AS id, 'c' AS head")
    assert read(spec, text_field="body", id_field="slug", title_field="head") == [
        Document("x", parse(spec).uri, "a", "row 1", title="c", metadata='{"id":"b"}')
    ]
    for options, code in (({}, "missing-field"), ({"text_field": "body", "id_field": "no"}, "bad-id")):
        (refused,) = read(spec, **options)
        assert isinstance(refused, Reject)
        assert (refused.code, refused.locator) == (code, "")
        assert shields(refused, parse(spec).uri)  # one reject, not one a row, and no document is deleted


def test_a_wide_row_is_refused_alone(database: Database) -> None:
    database.execute("CREATE TABLE t (id integer)")
    spec = database.query(f"SELECT 1 AS id, 'a' AS text UNION ALL SELECT 2, '{'b' * 2000}'")
    found, refused = sorted(read(spec, max_line_bytes=1000), key=lambda item: item.locator)
    assert found.doc_id == "1"
    assert isinstance(refused, Reject)
    assert refused.code == "line-too-long"


WRITES = [
    "DELETE FROM t",
    "INSERT INTO t VALUES (2) RETURNING id AS text",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
    "SELECT 1; DELETE FROM t",
    "SELECT 'a' AS text) AS x; COMMIT; DELETE FROM t; --",
    "SELECT 'a' AS text\n) AS x; DELETE FROM t; SELECT * FROM (SELECT 1",
    "UPDATE t SET id = 2",
    "DROP TABLE t",
]


@pytest.mark.parametrize("sql", WRITES)
def test_no_query_can_write(database: Database, sql: str) -> None:
    database.execute("CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")
    with pytest.raises(UsageError, match="does not take the query"):
        read(database.query(sql))
    # Also if nobody had checked it before.
    list(rows.read_rows(parse(database.query(sql)), ReadOptions()))
    assert [metadata(item) for item in read(database.query("SELECT 'x' AS text, count(*) AS n, max(id) AS id FROM t"))]
    (found,) = read(database.query("SELECT 'x' AS text, count(*) AS n, 'k' AS id, max(id) AS most FROM t"))
    assert metadata(found) == {"n": 1, "most": 1}


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ("query=SELEC 1", "syntax"),
        ("query=SELECT * FROM nowhere", "nowhere"),
        ("table=nowhere", "nowhere"),
        ("cursor=nowhere&query=SELECT 'a' AS text", "nowhere"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_the_words_of_the_database(
    database: Database, selection: str, says: str
) -> None:
    database.execute("CREATE TABLE t (id integer)")
    with pytest.raises(UsageError, match=says) as caught:
        resolve([f"{database.place}?{selection}"])
    assert "\n" not in str(caught.value)
    assert database.place in str(caught.value)


def test_a_query_that_fails_midway_gives_the_rows_before_and_shields_the_others(sqlite_database: Database) -> None:
    sql = "SELECT id, text, json(broken) AS j FROM t"
    sqlite_database.execute(
        "CREATE TABLE t (id integer, text text, broken text)",
        *(f"INSERT INTO t VALUES ({i}, 'Number {i}.', '{'{' if i == 90 else '{}'}')" for i in range(100)),
    )
    *found, refused = read(sqlite_database.query(sql))
    assert isinstance(refused, Reject)
    assert (refused.code, refused.locator) == ("unreadable", "")
    assert "malformed JSON" in refused.message
    assert 0 < len(found) <= 90
    assert shields(refused, refused.uri)


class TestSqlite:
    def test_every_class_of_value_is_kept(self, sqlite_database: Database) -> None:
        sqlite_database.execute(
            "CREATE TABLE t (id, text, big, real, blob, text_blob, bad)",
            "INSERT INTO t VALUES (x'6b6579', 'a', 9223372036854775807, 1.5, x'00ff', 'ok', CAST(x'41ff' AS text))",
        )
        (found,) = read(f"{sqlite_database.place}?table=t")
        assert found.doc_id == "key"
        assert metadata(found) == {"big": 9223372036854775807, "real": 1.5, "text_blob": "ok", "bad": "A\ufffd"}

    def test_text_that_is_not_utf8_is_refused_alone(self, sqlite_database: Database) -> None:
        sqlite_database.execute(
            "CREATE TABLE t (id, text)", "INSERT INTO t VALUES (1, CAST(x'41ff' AS text)), (2, 'fine'), (3, x'41ff')"
        )
        first, second, third = read(f"{sqlite_database.place}?table=t")
        assert isinstance(second, Document)
        for refused in (first, third):
            assert isinstance(refused, Reject)
            assert refused.code == "invalid-utf8"

    @pytest.mark.parametrize("sql", ["ATTACH 'x.db' AS x", "VACUUM INTO 'x.db'", "PRAGMA user_version = 3"])
    def test_no_other_file_is_touched(
        self, sqlite_database: Database, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        sqlite_database.execute("CREATE TABLE t (id)")
        list(rows.read_rows(parse(sqlite_database.query(sql)), ReadOptions()))
        assert [path.name for path in tmp_path.iterdir()] == ["corpus.db"]

    def test_others_may_write_while_documents_are_taken(self, sqlite_database: Database) -> None:
        sqlite_database.execute(
            "CREATE TABLE t (id, text)", *(f"INSERT INTO t VALUES ({i}, 'Number {i}.')" for i in range(500))
        )
        found = rows.read_rows(parse(f"{sqlite_database.place}?table=t"), ReadOptions())
        next(found)
        with closing(sqlite3.connect(sqlite_database.place.removeprefix("sqlite:///"), timeout=0)) as connection:
            connection.execute("DELETE FROM t")
            connection.commit()
        assert len(list(found)) == 499

    @pytest.mark.parametrize(("content", "says"), [(None, "unable to open"), (b"no database" * 100, "not a database")])
    def test_a_file_that_is_none_is_told(self, tmp_path: Path, content: bytes | None, says: str) -> None:
        if content is not None:
            (tmp_path / "a.db").write_bytes(content)
        with pytest.raises(UsageError, match=says):
            resolve([f"sqlite:///{tmp_path}/a.db?table=t"])
        assert content is not None or not (tmp_path / "a.db").exists()


@pytest.mark.servers
class TestPostgres:
    def test_every_type_survives(self, postgres_database: Database) -> None:
        values = {
            "numeric": ("12345678901234567890.10", "12345678901234567890.10"),
            "date": ("infinity", "infinity"),
            "timestamp": ("20000-01-01", "20000-01-01 00:00:00"),
            "timestamptz": ("2026-05-05 12:00:00.123456+02", "2026-05-05T10:00:00.123456+00:00"),
            "timetz": ("10:00+02", "10:00:00+02"),
            "interval": ("1 mon 3 days", "1 mon 3 days"),
            "jsonb": ('{"n": 123456789012345678901}', {"n": 123456789012345678901}),
            "int[]": ("{1,2}", [1, 2]),
            "date[]": ("{2026-01-01}", ["2026-01-01"]),
            "uuid": ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
            "int4range": ("[1,5)", "[1, 5)"),
            "inet": ("127.0.0.1", "127.0.0.1"),
            "point": ("(1,2)", "(1,2)"),
            "boolean": ("t", True),
        }
        columns = ", ".join(f"'{written}'::{kind} AS \"{kind}\"" for kind, (written, _) in values.items())
        (found,) = read(postgres_database.query(f"SELECT 3.0 AS id, 'a' AS text, '\\x00'::bytea AS b, {columns}"))
        assert found.doc_id == "3"
        assert metadata(found) == {kind: value for kind, (_, value) in values.items()}

    def test_metadata_does_not_depend_on_the_time_zone_of_the_session(
        self, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = postgres_database.query("SELECT 'a' AS text, '2026-05-05 12:00+00'::timestamptz AS at")
        here = read(spec)
        monkeypatch.setenv("PGTZ", "Asia/Tokyo")
        assert read(spec) == here

    def test_a_schema_may_be_named(self, postgres_database: Database) -> None:
        postgres_database.execute("CREATE SCHEMA s", "CREATE TABLE s.t AS SELECT 1 AS id, 'a' AS text")
        assert [item.doc_id for item in read(f"{postgres_database.place}?table=s.t")] == ["1"]

    def test_a_connection_that_is_lost_midway_is_a_reject(
        self, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        postgres_database.execute("CREATE TABLE t AS SELECT i AS id, 'text' AS text FROM generate_series(1, 1000) i")
        monkeypatch.setattr(rows, "fields_of", self._ending(postgres_database, rows.fields_of, after=100))
        *found, refused = read(f"{postgres_database.place}?table=t")
        assert 100 <= len(found) < 1000
        assert isinstance(refused, Reject)
        assert (refused.code, refused.locator) == ("unreadable", "")

    @staticmethod
    def _ending(database: Database, function: Any, *, after: int) -> Any:
        """Return `function`, which has the server end the other connections after so many calls."""
        calls = 0

        def called(*arguments: Any) -> object:
            nonlocal calls
            calls += 1
            if calls == after:
                others = "datname = current_database() AND pid <> pg_backend_pid()"
                database.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            return function(*arguments)

        return called

    def test_a_password_comes_from_its_own_places_and_is_in_no_message(
        self, postgres_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.servers import LOCKED_PASSWORD, LOCKED_USER

        postgres_database.execute(
            "CREATE TABLE t AS SELECT 1 AS id, 'a' AS text", f"GRANT SELECT ON t TO {LOCKED_USER}"
        )
        spec = f"{postgres_database.place}?table=t"
        monkeypatch.setenv("PGUSER", LOCKED_USER)
        monkeypatch.setenv("PGPASSWORD", "hush")
        with pytest.raises(UsageError, match="password authentication failed") as caught:
            resolve([spec])
        assert "hush" not in str(caught.value)
        monkeypatch.setenv("PGPASSWORD", LOCKED_PASSWORD)
        (found,) = read(spec)
        monkeypatch.delenv("PGPASSWORD")
        passwords = tmp_path / "pgpass"
        passwords.write_text(f"*:*:*:*:{LOCKED_PASSWORD.replace(':', chr(92) + ':')}\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        assert read(spec) == [found]
        assert LOCKED_PASSWORD not in repr(found)
