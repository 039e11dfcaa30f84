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
from polyseme.flows.display.terminal import Escaping, complain, escaped, note, show

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
    assert printed(query, "csv", capfdbinary) == b"n,n_3,m,n_2\n1,2,3,4\n"
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


@pytest.mark.parametrize(
    "value",
    [
        "true", "'ab\\x00\\xFF\\x5C\"'::BLOB", "timestamp '2020-01-01 10:00:00.5'", "time '10:00:00.25'",
        "time '10:00:00'", "timestamptz '2020-01-01 10:00:00.125+00'", "date '2020-01-01'", "1e20::DOUBLE",
        "1.50::DECIMAL(9, 2)", "'nan'::DOUBLE", "interval '1 month 2 days'",
        "uuid '00000000-0000-0000-0000-000000000001'",
        "timestamptz '12000-01-01 00:00:00+00'", "(date '0044-03-15 (BC)')", "timestamp 'infinity'",
    ],
)  # fmt: skip
def test_csv_has_the_text_that_duckdb_gives_a_value_and_reads_again(
    value: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        expected, kind = con.execute(f"SELECT ({value})::VARCHAR, typeof({value})").fetchall()[0]
        write_rows(con.sql(f"SELECT {value} AS v").to_arrow_reader(1000), "csv")
        _, (written,) = csv.reader(capfdbinary.readouterr().out.decode().splitlines())
        assert written == expected
        assert con.execute(f"SELECT $1::{kind}::VARCHAR", [written]).fetchall() == [(expected,)]


def test_bytes_in_json_are_as_in_csv(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    query = "SELECT 'a\\xAB'::BLOB AS b, [true, false] AS l"
    assert json.loads(printed(query, "jsonl", capfdbinary)) == {"b": "a\\xAB", "l": [True, False]}
    assert printed(query, "csv", capfdbinary) == b'b,l\na\\xAB,"[true,false]"\n'


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


def test_a_table_that_is_no_screen_has_every_row_and_character(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    shown = printed("SELECT i, repeat('x', 500) AS text FROM range(300) AS r(i)", "table", capfdbinary).decode()
    assert shown.count("x" * 500) == 300
    assert "…" not in shown


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 80, 120])
def test_on_a_terminal_rejects_are_readable_and_no_line_is_wider_than_it(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "not JSON (unexpected end of data, column 1); every line must be one JSON object"
    table = pa.table(
        {"uri": ["file:///srv/corpus/notes.jsonl"], "locator": ["line 2"], "stage": ["read"], "code": ["bad-json"],
         "message": [message], "excerpt": ['{"id":\n\t3\u202e']}
    )  # fmt: skip
    monkeypatch.setattr("sys.stdout", screen := Screen())
    monkeypatch.setenv("COLUMNS", str(width))
    write_table(table, "table")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    # Each column is there, and the words of the message follow each other, whatever is drawn between them.
    assert all(name in screen.getvalue() for name in table.column_names)
    if width < 120:
        said = [line.split("│")[1].strip() for line in lines[5:] if "│" in line and "excerpt" not in line]
        assert " ".join(said) == message
        assert "on its side" in capsys.readouterr().err


def test_of_many_rows_a_terminal_gets_the_first_and_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", screen := Screen())
    write_table(pa.table({"n": range(1000)}), "table")
    shown = [line.strip("│ ") for line in screen.getvalue().splitlines()[3:-1]]
    assert shown == [*map(str, range(100)), "·", *map(str, range(900, 1000))]
    assert "1,000 rows, 200 of them shown" in capsys.readouterr().err


def test_an_error_is_coloured_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    error = "Binder Error: no\n\nLINE 1: SELECT txt\n               ^^^"
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    complain(error)
    assert pipe.getvalue() == f"{error}\n"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", screen := Screen())
    complain(error)
    assert screen.getvalue() == error.replace("^^^", "\x1b[1;31m^^^\x1b[0m") + "\n"
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stderr", plain := Screen())
    complain(error)
    assert plain.getvalue() == f"{error}\n"


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
