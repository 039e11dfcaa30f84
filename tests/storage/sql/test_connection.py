"""Connections to a lake: the live parts can be read, and no other file can be read or written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from duckdb.sqltypes import VARCHAR

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import Access, refuse_writes
from polyseme.storage.sql.connection import connect
from tests import lakes, processes


@pytest.fixture
def full(catalog: Catalog, lake: Lake) -> Lake:
    lakes.commit(catalog, lakes.make_spec(), {"d": ["The bank.", "Closed."]})
    return lake


def test_a_missing_lake_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="polyseme embed") as caught:
        connect(tmp_path / "nowhere")
    assert caught.value.exit_code == 4


def test_a_lake_answers_after_it_was_moved_and_without_being_published(full: Lake, tmp_path: Path) -> None:
    os.rename(full.root, tmp_path / "moved")
    assert not (tmp_path / "moved" / "catalog.duckdb").exists()
    with connect(lakes.with_its_catalog(tmp_path / "moved")) as con:
        assert con.execute("SELECT text FROM sentences").fetchall() == [("The bank.",), ("Closed.",)]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM read_text('{lake}/catalog.sqlite')",
        "FROM glob('{lake}/data/**')",
        "FROM read_parquet('{lake}/data/sentences/*/*.parquet')",
        "FROM read_parquet('{lake}/data/../ghost.parquet')",
        "COPY sentences TO '{tmp}/out.csv'",
        "COPY sentences TO '{lake}/data/out.parquet'",
        "COPY sentences TO '{part}'",
        "EXPORT DATABASE '{tmp}/out'",
        "ATTACH '{tmp}/other.duckdb'",
        "ATTACH '{lake}/catalog.sqlite' (TYPE sqlite)",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_paths = ['/etc/passwd']",
        "SET temp_directory = '{tmp}'",
        "SET profiling_output = '{tmp}/profile.json'",
        "CALL enable_logging(storage = 'file', storage_config = {{'path': '{tmp}'}})",
        "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
        "IMPORT DATABASE '{tmp}'",
        "FROM read_text('{part}/../../../../catalog.sqlite')",
        "FROM read_csv('/proc/self/environ')",
        "FROM query('WITH x AS (COPY (SELECT 1) TO ''{tmp}/out.csv'') FROM x')",
        "SELECT getenv('HOME')",
        "FROM duckdb_secrets()",
    ],
)
def test_no_other_file_can_be_read_or_written(full: Lake, tmp_path: Path, sql: str) -> None:
    part = next(full.data.glob("sentences/*/*.parquet"))
    before = sorted(p for p in tmp_path.rglob("*") if not p.name.startswith("catalog.sqlite"))
    content = part.read_bytes()
    with connect(full) as con:
        with pytest.raises(duckdb.Error):
            con.execute(sql.format(lake=full.root, tmp=tmp_path, part=part)).fetchall()
        assert con.execute("SELECT count(*) FROM sentences").fetchone() == (2,)
    assert sorted(p for p in tmp_path.rglob("*") if not p.name.startswith("catalog.sqlite")) == before
    assert part.read_bytes() == content


def test_a_variable_of_the_program_is_not_a_table(full: Lake) -> None:
    secret = pa.table({"x": [1]})
    with connect(full) as con, pytest.raises(duckdb.CatalogException):
        con.execute("FROM secret")
    assert secret.num_rows == 1


def test_an_open_connection_still_takes_tables_functions_and_harmless_settings(full: Lake) -> None:
    def shout(texts: pa.Array) -> pa.Array:
        return pa.array([text.as_py().upper() for text in texts])

    with connect(full) as con:
        con.create_function("shout", shout, [VARCHAR], VARCHAR, type="arrow")
        con.execute("SET threads = 1")
        con.execute("SET memory_limit = '500MB'")
        con.execute("CREATE TABLE mine AS SELECT shout(text) AS loud FROM sentences")
        assert con.execute("FROM mine ORDER BY ALL").fetchall() == [("CLOSED.",), ("THE BANK.",)]
        con.register("given", pa.table({"x": [1]}))
        assert con.execute("FROM given").fetchall() == [(1,)]


def test_a_query_larger_than_memory_spills_and_leaves_nothing_behind(
    full: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with connect(full) as con:
        con.execute("SET memory_limit = '40MB'")
        con.execute("SET threads = 1")
        con.execute("CREATE TABLE big AS SELECT md5(i::VARCHAR) AS x FROM range(2_000_000) r(i)")
        assert list(tmp_path.glob("polyseme-*/duckdb_temp*"))
    assert list(tmp_path.glob("polyseme-*/*")) == []
    del con
    assert list(tmp_path.glob("polyseme-*")) == []


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'x' (USE_TMP_FILE false)",
        "SELECT 1;copy(select 1)to'x'",
        "WITH x AS (COPY (SELECT 1) TO 'x') FROM x",
        "EXPLAIN ANALYZE /* é */ COPY (SELECT 1) TO 'x'",
        "PREPARE p AS COPY (SELECT 1) TO 'x'",
        "PRAGMA json_execute_serialized_sql('...')",
        "FROM \"JSON_execute_serialized_sql\"('...')",
    ],
)
def test_sql_that_could_overwrite_a_part_is_recognised(sql: str) -> None:
    with pytest.raises(UsageError, match="not allowed"):
        refuse_writes(sql)


@pytest.mark.parametrize(
    "sql",
    ["FROM words", "", "-- copy", "SELECT 'copy', $$ COPY $$, /* copy */ \"copy\" FROM copyright", "SELECT 1 -- é"],
)
def test_sql_that_only_reads_passes(sql: str) -> None:
    refuse_writes(sql)


def test_a_lake_whose_path_has_quotes_in_it_is_a_lake(full: Lake, tmp_path: Path) -> None:
    os.rename(full.root, tmp_path / 'it\'s "mine"; DROP')
    with connect(lakes.with_its_catalog(tmp_path / 'it\'s "mine"; DROP')) as con:
        assert con.execute("SELECT count(*) FROM sentences").fetchone() == (2,)


def test_one_folder_can_be_written_and_the_lake_still_not(full: Lake, tmp_path: Path) -> None:
    part = next(full.data.glob("sentences/*/*.parquet"))
    content, folder = part.read_bytes(), tmp_path / "it's"
    folder.mkdir()
    access = Access(folder=folder)
    name = str(folder).replace("'", "''")
    with connect(full, access=access) as con:
        con.execute(f"COPY (SELECT text FROM sentences) TO '{name}/out.csv'")
        assert con.execute(f"SELECT count(*) FROM '{name}/out.csv'").fetchone() == (2,)
        for sql in (
            f"COPY (SELECT 1 AS a) TO '{part}'",
            f"COPY (SELECT 1 AS a) TO '{part}' (FORMAT csv, OVERWRITE_OR_IGNORE)",
            f"COPY (SELECT 1 AS a) TO '{name}/../out.csv'",
            f"COPY (SELECT 1 AS a) TO '{full.root}/out.csv'",
            "FROM read_text('/etc/passwd')",
            f"ATTACH '{full.catalog_path}' (TYPE sqlite)",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(sql)
    for option in ("USE_TMP_FILE", '"use_tmp_file"'):
        with pytest.raises(UsageError, match="could write over the lake"):
            refuse_writes(f"COPY (SELECT 1) TO '{part}' ({option} false)", access)
    assert part.read_bytes() == content
    assert not (tmp_path / "out.csv").exists()


def test_a_folder_that_holds_the_lake_or_lies_in_it_cannot_be_written(full: Lake, tmp_path: Path) -> None:
    for folder in (full.root, full.data, full.root.parent, Path("/")):
        with pytest.raises(UsageError, match="write over the lake"):
            connect(full, access=Access(folder=folder))
    with pytest.raises(UsageError, match="takes a folder that exists"):
        Access(folder=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Give one of them"):
        Access(folder=tmp_path, unsafe=True)


def test_unsafe_sql_may_do_what_duckdb_can(full: Lake, tmp_path: Path) -> None:
    (tmp_path / "given.csv").write_text("a\n1\n")
    refuse_writes("COPY (SELECT 1) TO 'x' (USE_TMP_FILE false)", Access(unsafe=True))
    with connect(full, access=Access(unsafe=True)) as con:
        assert con.execute(f"FROM read_csv('{tmp_path}/given.csv')").fetchall() == [(1,)]
        con.execute(f"ATTACH '{tmp_path}/other.duckdb' AS other")


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing else"])
def test_a_part_that_cannot_be_read_is_a_lake_error_that_says_what_to_do(full: Lake, content: bytes) -> None:
    part = next(full.data.glob("sentences/*/*.parquet"))
    part.unlink()
    part.write_bytes(content)
    with pytest.raises(LakeError, match="polyseme verify --repair"):
        connect(full)


def test_references_to_our_functions_at_exit_report_no_leaks() -> None:
    script = (
        "import ctypes\n"
        "from polyseme.storage.sql import connection, selection\n"
        "for kept in (connection.open_snapshot, selection.select_documents):\n"
        "    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))  # as Prefect keeps what a flow's module names\n"
        "connection.duckdb.connect().close()\n"
    )
    done = processes.run(sys.executable, "-c", script)
    assert done.stderr == ""
