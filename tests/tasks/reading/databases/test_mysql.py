"""MySQL and MariaDB alone: their types, how a cursor compares, and what a server may not do."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.databases import mysql, rows
from polyseme.tasks.reading.databases.address import parse
from polyseme.tasks.reading.databases.querying import Position
from polyseme.tasks.reading.documents import LongNumber, ReadOptions
from polyseme.tasks.reading.resolving import resolve
from tests.databases import Database, mysql_database, option_file
from tests.tasks.reading.databases.test_rows import metadata, read

__all__ = ["mysql_database", "option_file"]

pytestmark = pytest.mark.servers

EVERY_TYPE = {
    "decimal(65,2)": ("'123456789012345678901234567890.10'", "123456789012345678901234567890.10"),
    "bigint unsigned": ("18446744073709551615", 18446744073709551615),
    "bit(12)": ("b'101000000001'", 2561),
    "double": ("0.1", 0.1),
    "year": ("2026", 2026),
    "date": ("'2026-05-05'", "2026-05-05"),
    "date ": ("'0000-00-00'", "0000-00-00"),
    "datetime(6)": ("'2026-05-05 12:00:00.123456'", "2026-05-05T12:00:00.123456"),
    "datetime": ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "timestamp(6)": ("'2026-05-05 12:00:00.5'", "2026-05-05T10:00:00.500000+00:00"),
    "time": ("'-838:59:59'", "-838:59:59"),
    "enum('a','é')": ("'é'", "é"),
    "set('a','b')": ("'b,a'", "a,b"),
    "json": ("'{\"n\": 1}'", '{"n": 1}'),
    "char(3)": ("'a'", "a"),
    "varchar(9) character set latin1": ("'é€'", "é€"),
    "longtext": ("'\U0001f426'", "\U0001f426"),
    "uuid": ("'1b4e28ba-2fa1-11d2-883f-0016d3cca427'", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    "blob": ("x'00ff'", None),
    "varbinary(9)": ("'abc'", None),
    "point": ("point(1, 2)", None),
}
"""A type, a value as it is written in the zone +02:00, and as metadata has it; binary data is left out."""


def filled(database: Database, type_: str, *values: str) -> str:
    """Make a table `t` with a column `at`, and return its address with that as its cursor."""
    database.execute(
        f"CREATE TABLE t (id integer PRIMARY KEY AUTO_INCREMENT, text text DEFAULT 'a', at {type_})",
        f"INSERT INTO t (at) VALUES {', '.join(f'({value})' for value in values)}",
    )
    return f"{database.place}?cursor=at&table=t"


def advanced(spec: str, since: Position | None) -> tuple[list[str | None], Position | None]:
    """Return the ids of the rows at or above a position, and how far they go; the position as the catalog keeps it."""
    kept = None if since is None else Position.of(since.stamp)
    assert kept == since
    found, reading = [], rows.read_rows(parse(spec), ReadOptions(), since=kept)
    while True:
        try:
            found.append(next(reading).doc_id)
        except StopIteration as end:
            return found, end.value


def test_every_type_survives(mysql_database: Database) -> None:
    names = [f"c{number}" for number in range(len(EVERY_TYPE))]
    columns = ", ".join(f"{name} {kind} NULL" for name, kind in zip(names, EVERY_TYPE, strict=True))
    values = ", ".join(written for written, _ in EVERY_TYPE.values())
    mysql_database.execute(
        "SET sql_mode = ''",
        "SET time_zone = '+02:00'",
        f"CREATE TABLE t (id decimal(9,1), text text, {columns})",
        f"INSERT INTO t VALUES (3.0, 'a', {values})",
    )
    (found,) = read(f"{mysql_database.place}?table=t")
    assert found.doc_id == "3"
    expected = {name: value for name, (_, value) in zip(names, EVERY_TYPE.values(), strict=True) if value is not None}
    assert metadata(found) == expected


def test_json_of_mysql_is_nested_and_exact() -> None:
    from polyseme.tasks.reading.databases.mysql_connection import FIELD_TYPE, conversions

    value = conversions()[FIELD_TYPE.JSON]('{"n": [123456789012345678901, "\u00e9"]}')
    assert value == {"n": [LongNumber("123456789012345678901"), "\u00e9"]}


def test_text_that_is_not_utf8_is_refused_alone(mysql_database: Database) -> None:
    # MySQL takes UTF-16's surrogates for characters of UTF-8.
    mysql_database.execute(
        "CREATE TABLE t (id integer, text text CHARACTER SET utf8mb4, more text CHARACTER SET utf8mb4)",
        "INSERT INTO t VALUES (1, _utf8mb4 x'41EDA080', 'fine'), (2, 'fine', _utf8mb4 x'41EDA080')",
    )
    refused, found = read(f"{mysql_database.place}?table=t")
    assert isinstance(refused, Reject)
    assert refused.code == "invalid-utf8"
    assert metadata(found) == {"more": "A\ufffd\ufffd\ufffd"}


def test_a_binary_column_may_be_the_text(mysql_database: Database) -> None:
    mysql_database.execute("CREATE TABLE t (id varbinary(9), text blob)", "INSERT INTO t VALUES ('k', 'Ein Reiher.')")
    (found,) = read(f"{mysql_database.place}?table=t")
    assert (found.doc_id, found.text) == ("k", "Ein Reiher.")


def test_names_may_have_any_character(mysql_database: Database) -> None:
    table, column = 'we`ird "t', 'a`"b %s'
    table_quoted, column_quoted = ("`" + name.replace("`", "``") + "`" for name in (table, column))
    mysql_database.execute(
        f"CREATE TABLE {table_quoted} (id integer, text text, {column_quoted} integer)",
        f"INSERT INTO {table_quoted} VALUES (1, 'a', 5)",
    )
    spec = f"{mysql_database.place}?table={quote(table)}&cursor={quote(column)}"
    found, position = advanced(spec, None)
    assert (found, position) == (["1"], Position(column, "5", mysql.NUMBER))
    assert advanced(spec, position) == (["1"], position)


def test_percent_signs_mean_nothing(mysql_database: Database) -> None:
    mysql_database.execute("CREATE TABLE t (id integer)", "INSERT INTO t VALUES (1)")
    spec = f"{mysql_database.place}?cursor=id&query=SELECT 7 % 4 AS id, '100%s %(greatest)s %%' AS text FROM t"
    for since in (None, Position("id", "3", mysql.NUMBER)):
        (found,) = rows.read_rows(parse(spec), ReadOptions(), since=since)
        assert isinstance(found, Document)
        assert (found.doc_id, found.text) == ("3", "100%s %(greatest)s %%")


@pytest.mark.parametrize(
    ("type_", "below", "greatest"),
    [
        ("bigint unsigned", "18446744073709551614", "18446744073709551615"),
        ("decimal(60,1)", "123456789012345678901234567890.1", "123456789012345678901234567890.2"),
        ("float", "0.6", "0.7"),
        ("double", "0.1", "0.30000000000000004"),
        ("datetime(6)", "'2026-05-05 12:00:00.123455'", "'2026-05-05 12:00:00.123456'"),
        ("timestamp(6)", "'2026-05-05 12:00:00.123455'", "'2026-05-05 12:00:00.123456'"),
        ("date", "'2026-05-04'", "'2026-05-05'"),
        ("time", "'-100:00:00'", "'-99:00:00'"),
        ("varchar(20)", "'B'", "'\\\\\\''"),
        ("enum('z','b')", "'b'", "'z'"),
        ("bit(60)", "b'1'", "b'10'"),
    ],
)  # fmt: skip
def test_a_cursor_compares_exactly(mysql_database: Database, type_: str, below: str, greatest: str) -> None:
    spec = filled(mysql_database, type_, below, greatest, greatest, "NULL")
    found, position = advanced(spec, None)
    assert found == ["1", "2", "3", "4"]
    assert advanced(spec, position) == (["2", "3"], position)
    mysql_database.execute("DELETE FROM t")
    assert advanced(spec, position) == ([], position)


def test_a_cursor_of_another_type_than_before_leads_to_reading_all(mysql_database: Database) -> None:
    spec = filled(mysql_database, "integer", "5", "7")
    _, position = advanced(spec, None)
    mysql_database.execute("ALTER TABLE t MODIFY at varchar(9)", "UPDATE t SET at = concat('x', at)")
    assert advanced(spec, position) == (["1", "2"], Position("at", "x7", "text"))


def test_a_stamp_that_no_run_wrote_stands_for_no_position() -> None:
    for stamp in ('["at","x","number"]', '["at",1,2]', '["at","","float"]', '["at"]', "5"):
        assert Position.of(stamp) is None


def test_rows_are_of_one_moment(mysql_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = filled(mysql_database, "integer", *map(str, range(3)))
    greatest = rows.greatest

    def and_another(*arguments: Any) -> Position | None:
        found = greatest(*arguments)
        mysql_database.execute("INSERT INTO t (at) VALUES (99)")
        return found

    monkeypatch.setattr(rows, "greatest", and_another)
    assert advanced(spec, None) == (["1", "2", "3"], Position("at", "2", mysql.NUMBER))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a' AS text INTO OUTFILE '{file}'", "SELECT 'a' AS text INTO DUMPFILE '{file}'", "SELECT 1 INTO @a",
        "COMMIT", "SET GLOBAL net_write_timeout = 61", "CALL p()", "SELECT 'a' AS text, f() AS n", "SHOW TABLES",
        "SELECT * FROM t FOR UPDATE", "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t",
        "SELECT 'a' AS text, nextval(s) AS n",
    ],
)  # fmt: skip
def test_nothing_but_reading_is_done(mysql_database: Database, tmp_path: Path, sql: str) -> None:
    mysql_database.execute(
        "CREATE TABLE t (id integer, text text)", "CREATE SEQUENCE s",
        "CREATE PROCEDURE p() INSERT INTO t VALUES (1, 'a')",
        "CREATE FUNCTION f() RETURNS integer BEGIN INSERT INTO t VALUES (1, 'a'); RETURN 1; END",
    )  # fmt: skip
    tmp_path.chmod(0o777)
    file = tmp_path / "out"
    spec = mysql_database.query(sql.replace("{file}", str(file)))
    (refused,) = rows.read_rows(parse(spec), ReadOptions())
    assert isinstance(refused, Reject)
    assert refused.code == "unreadable"
    assert not file.exists()
    (found,) = read(mysql_database.query("SELECT 'a' AS text, count(*) AS n, @@net_write_timeout AS s FROM t"))
    assert metadata(found) == {"n": 0, "s": 60}


def test_a_query_that_is_only_checked_is_not_run(mysql_database: Database) -> None:
    mysql_database.execute(
        "CREATE FUNCTION f() RETURNS integer BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it ran'; RETURN 1; END"
    )
    for selection in (
        "query=SELECT f() AS id, 'a' AS text FROM seq_1_to_2",
        "cursor=id&query=SELECT f() AS id, 'a' AS text FROM seq_1_to_2",
    ):
        resolve([f"{mysql_database.place}?{selection}"])
    (refused,) = read(mysql_database.query("SELECT f() AS id, 'a' AS text"))
    assert isinstance(refused, Reject)
    assert "it ran" in refused.message


def test_a_connection_that_is_lost_midway_is_a_reject(
    mysql_database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sql = "SELECT seq AS id, repeat('a', 1000) AS text FROM seq_1_to_100000"
    calls, fields_of = 0, rows.fields_of

    def ending(*arguments: Any) -> dict[str, object]:
        nonlocal calls
        calls += 1
        if calls == 100:
            name = mysql_database.place.rpartition("/")[2]
            others = f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()"
            kill = "EXECUTE IMMEDIATE concat('KILL ', other.id)"
            mysql_database.execute(f"BEGIN NOT ATOMIC FOR other IN ({others}) DO {kill}; END FOR; END")
        return fields_of(*arguments)

    monkeypatch.setattr(rows, "fields_of", ending)
    with caplog.at_level(logging.INFO):
        *found, refused = read(mysql_database.query(sql))
    assert 100 <= len(found) < 100000
    assert isinstance(refused, Reject)
    assert (refused.code, refused.locator) == ("unreadable", "")
    assert caplog.records == []


def test_rows_that_nobody_wants_are_not_sent(mysql_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def sent() -> int:
        status = "information_schema.global_status WHERE variable_name = 'BYTES_SENT'"
        (found,) = read(mysql_database.query(f"SELECT 'a' AS text, variable_value AS sent FROM {status}"))
        return int(metadata(found)["sent"])

    before = sent()
    (refused,) = read(mysql_database.query("SELECT seq AS id, repeat('a', 1000000) AS body FROM seq_1_to_200"))
    assert isinstance(refused, Reject)
    assert refused.code == "missing-field"
    assert sent() - before < 100_000_000
    assert caplog.records == []


def test_positions_are_kept_as_text() -> None:
    assert json.loads(Position("at", "5", mysql.NUMBER).stamp) == ["at", "5", "number"]
    assert json.loads(Position("at", 5).stamp) == ["at", 5]
