"""The guides are under test: every recipe gives rows, and what the concepts show is what their commands print."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from polyseme.flows.cli import main
from polyseme.storage.sql.connection import connect
from tests.repository import ROOT

RECIPES = dict(
    re.findall(r"^## (\d+\. [^\n]+)\n.*?```sql\n(.*?)```", (ROOT / "docs/cookbook.md").read_text("utf-8"), re.M | re.S)
)
SHOWN = re.findall(r"```console\n\$ ([^\n]+)\n(.+?)```", (ROOT / "docs/concepts.md").read_text("utf-8"), re.S)


@pytest.fixture(scope="module")
def con(example_lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(example_lake) as opened:
        yield opened


def test_there_are_fifteen_recipes_and_six_concepts() -> None:
    assert [int(title.split(".")[0]) for title in RECIPES] == list(range(1, 16))
    assert len(SHOWN) == 6


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_of_the_cookbook_gives_rows(con: duckdb.DuckDBPyConnection, title: str) -> None:
    assert con.execute(RECIPES[title].strip().removesuffix(";")).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), SHOWN)
def test_a_command_of_the_concepts_prints_what_is_shown(
    command: str, shown: str, example_lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example_lake.parent)
    name, *arguments = shlex.split(command)
    if name == "python":
        tutorial, *arguments = arguments
        runpy.run_path(str(ROOT / tutorial))["main"](arguments)
    else:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    assert _lines(capsys.readouterr().out) == _lines(shown)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
