"""Output: every value and column in every format, and nothing in a table that a terminal obeys."""

from __future__ import annotations

import csv
import io
import json
import logging

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.flows.display.output import Format, write_rows, write_table
from polyseme.flows.display.terminal import Escaping, escaped, note, show

OBEYED = "\x1b[31m\x07\x9b\x7f\u202e\u2066\u200f\u061c\u2028"


def printed(query: str, form: Format, capfdbinary: pytest.CaptureFixture[bytes]) -> bytes:
    with duckdb.connect() as con:
        write_rows(con.sql(query).to_arrow_reader(1000), form)
    return capfdbinary.readouterr().out


def test_two_columns_of_one_name_are_two_columns_in_every_format(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    query = "SELECT 1 AS n, 2 AS n, 3 AS m, 4 AS n_2"
    assert json.loads(printed(query, "jsonl", capfdbinary)) == {"n": 1, "n_3": 2, "m": 3, "n_2": 4}
    assert json.loads(printed(query, "json", capfdbinary)) == [{"n": 1, "n_3": 2, "m": 3, "n_2": 4}]
    table = pq.read_table(io.BytesIO(printed(query, "parquet", capfdbinary)))
    assert table.to_pylist() == [{"n": 1, "n_3": 2, "m": 3, "n_2": 4}]
    assert printed(query, "csv", capfdbinary) == b"n,n,m,n_2\n1,2,3,4\n"
    assert b"n_3" in printed(query, "table", capfdbinary)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("date '10000-01-01'", "10000-01-01"),
        ("'infinity'::DATE", "infinity"),
        ("date '0044-03-15 (BC)'", "0044-03-15 (BC)"),
        ("timestamp_ns '2020-01-01 00:00:00.123456789'", "2020-01-01 00:00:00.123456789"),
        ("timestamp '12000-01-01 00:00:00'", "12000-01-01 00:00:00"),
        ("interval 13 month", "1 year 1 month"),
    ],
)
def test_a_value_that_python_cannot_hold_is_written_as_a_table_shows_it(
    value: str, shown: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    query = f"SELECT {value} AS v, [{value}] AS l, NULL::DATE AS n"
    assert shown.encode() in printed(query, "table", capfdbinary)
    assert json.loads(printed(query, "jsonl", capfdbinary)) == {"v": shown, "l": [shown], "n": None}
    _, row = csv.reader(printed(query, "csv", capfdbinary).decode().splitlines())
    assert row == [shown, json.dumps([shown]), ""]


def test_csv_writes_booleans_and_bytes_as_json_does(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    query = "SELECT true AS t, '\\xAB'::BLOB AS b, [true] AS l"
    assert printed(query, "csv", capfdbinary) == b"t,b,l\ntrue,ab,[true]\n"


def test_a_table_escapes_what_a_terminal_obeys_and_the_other_formats_do_not(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    table = pa.table({f"a{OBEYED}": [OBEYED], "l": [[OBEYED]], "s": [{"k": OBEYED}]})
    write_table(table, "table")
    shown = capfdbinary.readouterr().out.decode()
    assert escaped(shown) == shown
    assert r"\x1b[31m" in shown
    assert r"\u202e" in shown
    write_table(table, "jsonl")
    assert list(json.loads(capfdbinary.readouterr().out).values()) == [OBEYED, [OBEYED], {"k": OBEYED}]
    write_table(table, "csv")
    assert OBEYED in capfdbinary.readouterr().out.decode()


def test_text_for_people_keeps_lines_tabs_and_letters_of_every_script() -> None:
    text = "naïve 東京 עברית\n\tکتاب\u200cها 👩\u200d🚀"
    assert escaped(text) == text


def test_lines_and_logs_for_people_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    show(OBEYED + "\udce9")
    note(OBEYED)
    found = capsys.readouterr()
    assert found.out == r"\x1b[31m\x07\x9b\x7f\u202e\u2066\u200f\u061c\u2028\udce9" + "\n"
    assert found.err == r"\x1b[31m\x07\x9b\x7f\u202e\u2066\u200f\u061c\u2028" + "\n"
    record = logging.LogRecord("polyseme", logging.WARNING, "", 1, "%s", (OBEYED,), None)
    assert Escaping("%(message)s").format(record) == escaped(OBEYED)
