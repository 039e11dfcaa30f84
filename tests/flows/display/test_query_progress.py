"""Progress of a query: one line on a terminal, gone before its rows, and nothing anywhere else."""

from __future__ import annotations

import io
import sys

import pytest

from polyseme.flows.display import query_progress
from polyseme.flows.display.query_progress import QueryProgress, progress_line
from polyseme.storage.lake import Lake
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("progress"), embedded_lakes.documents({"a": "The bank."}))


SLOW = "SELECT count(*) AS n FROM range(30000000) AS r(i) WHERE hash(i) % 7 = 1"


def run(lake: Lake, sql: str) -> str:
    """Return what the screen had been sent when the rows were shown."""
    seen = []
    with Queries(lake, ModelFunctions(device="cpu")) as queries, QueryProgress(queries) as progress:

        def show(rows: object) -> None:
            assert list(rows)  # type: ignore[call-overload]
            progress.clear()
            seen.append(sys.stderr.getvalue() if isinstance(sys.stderr, Screen) else "")

        queries.run(sql, show, waiting=progress.tick)
    return seen[0]


def test_a_slow_query_shows_how_far_it_is_and_nothing_is_left_when_its_rows_are_there(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_progress, "_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(query_progress, "_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setattr(sys, "stdout", Screen())
    shown = run(lake, SLOW)
    assert "(Ctrl-C stops it)" in shown
    assert shown.endswith("\r\x1b[2K")
    assert screen.getvalue() == shown


def test_what_is_no_terminal_gets_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_progress, "_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    run(lake, "SELECT 1")
    assert pipe.getvalue() == ""


def test_tokens_that_a_function_encodes_are_counted_from_the_beginning_of_each_query(lake: Lake) -> None:
    with Queries(lake, ModelFunctions(device="cpu")) as queries:
        queries.ask("SELECT embed('A heron stood in the water.')")
        assert 0 < queries.progress[1] < 50
        queries.ask("SELECT 1")
        assert queries.progress[1] == 0


def test_the_line_has_what_is_known() -> None:
    assert progress_line(12.4, None, 0) == "12 s (Ctrl-C stops it)"
    line = "7 s, indexing 9,000,000 vectors, once: 44 % (Ctrl-C stops it)"
    assert progress_line(7.0, None, 0, ("indexing 9,000,000 vectors, once", 0.444)) == line
    assert progress_line(3.0, 41.7, 3204) == "3 s, 42 % of its rows, 3,204 tokens encoded (Ctrl-C stops it)"
