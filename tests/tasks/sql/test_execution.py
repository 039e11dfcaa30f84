"""Execution of SQL: time and memory are bounds, whatever the query does; errors say what happened."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError, PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import Access
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import lakes, processes

BEYOND_AN_INTERRUPT = "SELECT length(repeat('x', 3000000000)::VARCHAR)"


@pytest.fixture
def made(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["The bank.", "Closed."]})
    return lake


def sql(made: Lake, *words: str, check: bool = False) -> processes.Completed:
    return processes.run(sys.executable, "-m", "polyseme", "sql", *words, "--lake", made.root, check=check)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        BEYOND_AN_INTERRUPT,
        "SELECT levenshtein(repeat('ab', 200000), repeat('ba', 200000))",
        "SELECT regexp_matches(repeat('a', 400000000), '(a|b|ab)*c')",
        "SELECT sum(hash(a.range, b.range)) FROM range(1000000000) a, range(1000000000) b",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT md5(repeat('word ', 300000000))",
    ],
)
def test_the_time_limit_holds_for_what_cannot_be_interrupted(made: Lake, query: str) -> None:
    began = time.monotonic()
    done = sql(made, query, "--timeout", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No answer within 2 seconds, so the query was stopped." in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 60  # 2 s, the grace of 5 s, and the start of a process on a busy machine


@pytest.mark.parametrize("query", ["SELECT list_sum(range(1000000000))", BEYOND_AN_INTERRUPT])
def test_the_memory_limit_holds_for_what_duckdb_does_not_count(made: Lake, query: str) -> None:
    with processes.started(
        sys.executable, "-m", "polyseme", "sql", query, "--memory", "500MB", "--lake", made.root, stderr=processes.PIPE
    ) as running:
        most = 0
        while running.poll() is None:
            most = max(most, processes.resident_bytes(running))
            time.sleep(0.02)
        said = running.communicate()[1]
    assert running.returncode == 1
    assert "The query took more than 0.5 GB of memory, so it was stopped." in said
    assert most < 6e9  # it takes 4 GB a second until it ends


def test_a_time_limit_that_holds_leaves_a_session_that_goes_on(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries:
        with pytest.raises(PolysemeError, match="No answer within"):
            queries.ask("SELECT count(*) AS n FROM range(100000000000000)", timeout=0.2)
        assert queries.ask("SELECT count(*) AS n FROM sentences") == [{"n": 2}]


@pytest.mark.slow
def test_ctrl_c_ends_what_cannot_be_interrupted(made: Lake) -> None:
    command = [sys.executable, "-m", "polyseme", "sql", f"SELECT 'begun'; {BEYOND_AN_INTERRUPT}", "--lake", made.root]
    with processes.started(*command, "--format", "csv", stdout=processes.PIPE, stderr=processes.PIPE) as running:
        assert running.stdout is not None
        assert "begun" in running.stdout.readline() + running.stdout.readline()
        processes.wait_until(lambda: processes.resident_bytes(running) > 1e9, "DuckDB is at work")
        running.send_signal(signal.SIGINT)
        assert running.wait(processes.DEADLINE_SECONDS) == 130


def test_a_failed_transaction_takes_a_rollback_and_then_queries(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries:
        with pytest.raises(PolysemeError):
            queries.run("BEGIN; SET lock_configuration = false", lambda rows: None)
        with pytest.raises(PolysemeError, match="ROLLBACK"):
            queries.ask("SELECT 1 AS a")
        queries.run("ROLLBACK", lambda rows: None)
        assert queries.ask("SELECT 1 AS a") == [{"a": 1}]


@pytest.mark.parametrize("begin", ["", "BEGIN; "])
def test_an_error_in_a_users_sql_marks_its_place_also_in_a_transaction(made: Lake, begin: str) -> None:
    with Queries(made, ModelFunctions()) as queries:
        if begin:
            queries.run(begin, lambda rows: None)
        with pytest.raises(PolysemeError, match=r"^Binder Error: .*nothing") as caught:
            queries.answer("SELECT nothing FROM sentences", {})
        assert "aborted" not in str(caught.value)
        assert begin or "LINE 1: SELECT nothing FROM sentences\n               ^^^^^^^" in str(caught.value)


def test_rows_of_a_query_with_parameters_are_a_table_and_nothing_is_written(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries:
        assert queries.answer("SELECT $n + 1 AS n", {"n": 1}).to_pylist() == [{"n": 2}]
        with pytest.raises(UsageError, match="COPY is not allowed"):
            queries.answer("COPY sentences TO 'x'", {})


def test_parts_that_a_vacuum_removed_meanwhile_are_named_as_that(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries:
        for part in made.data.rglob("*.parquet"):
            part.unlink()
        with pytest.raises(LakeError, match=r"parts that this connection shows are gone, .*a vacuum removed them"):
            queries.ask("SELECT text FROM sentences")


def test_a_column_that_is_none_is_answered_with_what_to_write(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries:
        with pytest.raises(PolysemeError, match=r"^titel is no column of documents\. The nearest is title\."):
            queries.run("SELECT 1; SELECT titel FROM documents", lambda rows: None)
        with pytest.raises(PolysemeError, match=r"title is no column of sentences; it is one of documents: JOIN"):
            queries.run("BEGIN; SELECT title FROM sentences", lambda rows: None)
        queries.run("ROLLBACK", lambda rows: None)
        with pytest.raises(PolysemeError, match='Referenced column "zzz" not found'):
            queries.run("SELECT zzz FROM sentences", lambda rows: None)
        assert queries.ask("SELECT 1 AS a") == [{"a": 1}]


def test_an_error_in_our_own_sql_shows_none_of_it(made: Lake) -> None:
    with Queries(made, ModelFunctions()) as queries, pytest.raises(PolysemeError) as caught:
        queries.ask("SELECT\n  no_such_column\nFROM sentences")
    assert "no_such_column" in str(caught.value)
    assert "LINE" not in str(caught.value)


_SORT = "CREATE TABLE spilt AS SELECT hash(range) AS h, uuid()::VARCHAR AS t FROM range(1_000_000) ORDER BY h"
_SETTINGS = "SELECT current_setting('temp_directory'), current_setting('max_temp_directory_size')"


def test_a_sort_larger_than_memory_spills_into_at_most_half_of_the_free_disk(made: Lake) -> None:
    with Queries(made, ModelFunctions(), access=Access(memory="60MB")) as queries:
        ((spill, most),) = queries.connection.execute(_SETTINGS).fetchall()
        number, unit = most.split()
        free = shutil.disk_usage(spill).free
        assert 0.25 < float(number) * {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit] / free < 0.75
        queries.run(_SORT, lambda rows: None)
        assert queries.ask("SELECT count(*) AS n FROM spilt") == [{"n": 1_000_000}]
        assert any(Path(spill).iterdir())


def test_the_disk_limit_holds_and_its_error_names_the_mend(made: Lake) -> None:
    with Queries(made, ModelFunctions(), access=Access(memory="60MB", spill="10MB")) as queries:
        with pytest.raises(PolysemeError, match=r"so it was stopped.*--spill 100GB\); TMPDIR"):
            queries.run(_SORT, lambda rows: None)
        with pytest.raises(PolysemeError, match="locked"):
            queries.run("SET max_temp_directory_size = '10GB'", lambda rows: None)
        assert queries.ask("SELECT count(*) AS n FROM sentences") == [{"n": 2}]


def test_a_program_may_spill_more_in_its_own_connection_unless_it_said_how_much(made: Lake) -> None:
    with connect(made) as con:
        con.execute("SET max_temp_directory_size = '1TB'")
    with connect(made, access=Access(spill="1GB")) as con, pytest.raises(duckdb.InvalidInputException, match="locked"):
        con.execute("SET max_temp_directory_size = '1TB'")


def test_the_disk_for_spilling_is_a_size() -> None:
    with pytest.raises(UsageError, match="--spill takes a size such as"):
        Access(spill="90%")


def test_memory_is_a_size_and_then_sql_cannot_raise_it(made: Lake) -> None:
    assert "takes a size such as" in sql(made, "SELECT 1", "--memory", "much").stderr
    assert "locked" in sql(made, "SET memory_limit = '100GB'", "--memory", "500MB").stderr
    assert sql(made, "SET memory_limit = '1GB'; SELECT 1 AS a", "--format", "csv").stdout == "a\n1\n"


@pytest.mark.slow
def test_what_a_function_imports_does_not_notice_that_sql_can_write_nothing(made: Lake) -> None:
    query = "SELECT cluster_senses(list([i, i % 3, 1, 0]::FLOAT[4])) IS NOT NULL AS found FROM range(40) t(i)"
    done = sql(made, query, "--format", "csv", check=True)
    assert (done.stdout.split(), done.stderr) == (["found", "true"], "")
