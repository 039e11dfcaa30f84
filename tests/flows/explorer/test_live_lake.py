"""SQL that somebody types into the explorer, and a lake that changes while it is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes
from tests.flows.explorer.reading import Reading

DOCUMENTS = embedded_lakes.documents()
COUNT = "SELECT count(*) AS n FROM documents"


def test_sql_shows_some_rows_and_gives_all(explorer: TestClient) -> None:
    query = "SELECT i, i AS i FROM range(1500) AS t(i)"
    assert "the first 1,000" in Reading(explorer.get("/sql", params={"q": query}).text).text
    rows = explorer.get("/sql.json", params={"q": query}).json()["rows"]
    assert [row["i_2"] for row in rows] == list(range(1500))


@pytest.mark.parametrize("query", [
    "DROP VIEW sentences", "CREATE OR REPLACE VIEW sentences AS SELECT 1 AS i", "BEGIN; SELECT 1 // 'x'", "BEGIN",
    "CREATE SCHEMA other; USE other", "CREATE OR REPLACE MACRO senses(w) AS TABLE SELECT 1", "SELECT", "COMMIT",
    "ATTACH ':memory:' AS more", "SET timezone = 'Asia/Tokyo'", "BEGIN; DROP VIEW sentences; COMMIT",
])  # fmt: skip
def test_sql_changes_nothing_for_whoever_asks_next(explorer: TestClient, query: str) -> None:
    seen = """SELECT (SELECT count(*) FROM sentences) AS sentences, (SELECT count(*) FROM senses('bank')) AS senses,
        current_schema() AS here, current_setting('timezone') AS zone, (SELECT count(*) FROM duckdb_databases()) AS n"""
    before = explorer.get("/sql.json", params={"q": seen}).json()
    assert before["rows"][0]["senses"] > 0
    explorer.get("/sql.json", params={"q": query})
    assert explorer.get("/sql.json", params={"q": seen}).json() == before


def test_sql_that_takes_long_keeps_no_page_from_being_shown(shown_lake: Lake) -> None:
    endless = "SELECT count(*) FROM range(100000000000) AS a(i), range(1000) AS b WHERE a.i % 7 = 3"
    with LiveLake(shown_lake, ModelFunctions, timeout=2) as live, ThreadPoolExecutor(50) as threads:
        client = TestClient(application(live, title="Busy"))
        waiting = [threads.submit(client.get, "/sql.json", params={"q": endless}) for _ in range(50)]
        done, _ = wait(waiting, return_when="FIRST_COMPLETED")
        refused = done.pop().result()
        assert (refused.status_code, "Try again" in refused.json()["error"]) == (503, True)
        assert client.get("/runs").status_code == 200
        assert sum("Try again" not in one.result().text for one in waiting) <= 8


def test_a_statement_without_rows_says_so(explorer: TestClient) -> None:
    assert "no rows" in Reading(explorer.get("/sql", params={"q": "CREATE TEMP TABLE mine AS SELECT 1"}).text).text


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveLake]:
    """A lake of two documents that is looked at again whenever something is asked."""
    monkeypatch.setattr("polyseme.flows.explorer.live_lake._LOOK_AGAIN_SECONDS", 0.0)
    with LiveLake(embedded_lakes.make(tmp_path / "lake", DOCUMENTS[:2]), ModelFunctions) as live:
        assert live.rows(COUNT) == [{"n": 2}]
        yield live


def test_another_lake_at_the_same_place_is_shown(followed: LiveLake, tmp_path: Path) -> None:
    """One that was made anew counts the same versions again."""
    before = followed.state
    shutil.rmtree(tmp_path / "lake")
    with pytest.raises(LakeError, match="no lake"):
        followed.rows(COUNT)
    embedded_lakes.make(tmp_path / "lake", DOCUMENTS)
    assert followed.rows(COUNT) == [{"n": 6}]
    assert (followed.state[1], followed.state != before) == (before[1], True)


def test_pages_follow_the_lake(followed: LiveLake, tmp_path: Path) -> None:
    embedded_lakes.make(tmp_path / "lake", DOCUMENTS[2:], run_id="second")
    assert followed.rows(COUNT) == [{"n": 6}]
    assert followed.rows(COUNT, where="doc_id = 'safe'") == [{"n": 6}]
