"""The guides are under test: every recipe gives rows, and what the concepts show is what their commands print."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import polyseme
from polyseme.flows.cli import main
from polyseme.storage.sql.connection import connect
from tests.extras import require
from tests.repository import ROOT

RECIPES = dict(
    re.findall(r"^## (\d+\. [^\n]+)\n.*?```sql\n(.*?)```", (ROOT / "docs/cookbook.md").read_text("utf-8"), re.M | re.S)
)
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.S)
# One command and what it prints; a block of several is no such thing.
SHOWN, BENCH, GALLERY = (
    re.findall(r"```console\n\$ ([^\n]+)\n((?!\$ ).+?)```", (ROOT / "docs" / page).read_text("utf-8"), re.S)
    for page in ("concepts.md", "bench.md", "gallery.md")
)
PRINTING = re.findall(
    r"```python\n([^`]+)```\n\n```text\n(.+?)```", (ROOT / "docs/gallery.md").read_text("utf-8"), re.S
)


@pytest.fixture(scope="module")
def con(example_lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(example_lake) as opened:
        yield opened


def test_there_are_fifteen_recipes_and_six_concepts() -> None:
    assert [int(title.split(".")[0]) for title in RECIPES] == list(range(1, 16))
    assert len(SHOWN) == 6
    assert len(BENCH) == 6


def test_each_of_three_people_runs_commands_and_two_of_them_python() -> None:
    page = (ROOT / "docs/gallery.md").read_text("utf-8")
    parts = page.split("\n## ")[1:]
    assert [part.partition("\n")[0] for part in parts] == [
        "The data engineer",
        "The linguist",
        "The machine-learning engineer",
    ]
    assert [part.count("```console") for part in parts] == [3, 3, 2]
    assert len(GALLERY) == page.count("```console")
    assert len(PRINTING) == page.count("```python") == 2


@pytest.mark.slow
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_of_the_cookbook_gives_rows(con: duckdb.DuckDBPyConnection, title: str) -> None:
    assert con.execute(RECIPES[title].strip().removesuffix(";")).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), [*SHOWN, *BENCH, *GALLERY])
def test_a_command_of_a_guide_prints_what_is_shown(
    command: str, shown: str, example_lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example_lake.parent)
    if not Path("examples").exists():
        Path("examples").symlink_to(ROOT / "examples")
    name, *arguments = shlex.split(command)
    if name == "python":
        tutorial, *arguments = arguments
        runpy.run_path(str(ROOT / tutorial))["main"](arguments)
    else:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    assert _lines(capsys.readouterr().out) == _lines(shown)


@pytest.mark.slow
@pytest.mark.parametrize(("snippet", "shown"), PRINTING)
def test_a_snippet_of_the_gallery_prints_what_is_shown(
    snippet: str, shown: str, example_lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(example_lake.parent)
    exec(snippet, {})
    assert _lines(capsys.readouterr().out) == _lines(shown)


@pytest.mark.prefect
def test_the_snippets_for_python_run_in_order_inside_an_event_loop(
    prefect_api: None, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    asyncio.run(_run_as_cells([snippet for snippet in SNIPPETS if "# needs " not in snippet], names))
    assert names["river"].shape == names["vault"].shape == (384,)
    assert names["report"].tally.unchanged == 3
    assert names["matrix"].shape == (names["words"].num_rows, 384)
    assert names["tensor"].shape == (7, 384)
    assert len(names["hits"]) == 3
    assert names["ids"] == sorted(names["ids"])
    assert len(names["answers"]) == 2


@pytest.mark.extra
@pytest.mark.slow
def test_the_senses_of_a_word_are_a_data_frame(example_lake: Path) -> None:
    require("pandas", "frames")
    (snippet,) = (snippet for snippet in SNIPPETS if "lake.senses" in snippet and "# needs pandas" in snippet)
    with polyseme.open(example_lake) as lake:
        names: dict[str, Any] = {"lake": lake}
        exec(snippet, names)
    assert set(names["frame"]["sense"]) == {1, 2}


@pytest.mark.extra
@pytest.mark.parametrize(("package", "method"), [("pandas", "df"), ("polars", "pl")])
def test_a_query_becomes_a_data_frame_with_a_vector_in_each_row(package: str, method: str) -> None:
    pytest.importorskip(package, reason=f"a data frame of {package} needs {package}, which is not a dependency")
    (snippet,) = (snippet for snippet in SNIPPETS if f"# needs {package}" in snippet and "lake." not in snippet)
    assert f".{method}()" in snippet
    with duckdb.connect() as con:
        names: dict[str, Any] = {
            "sentences": con.sql("SELECT i, [i, 2, 3]::FLOAT[3] AS embedding FROM range(4) AS t(i)")
        }
        exec(snippet, names)
    assert [list(vector) for vector in names["frame"]["embedding"]] == [[i, 2, 3] for i in range(4)]


def test_every_name_of_the_public_face_is_on_the_page_for_python() -> None:
    page = (ROOT / "docs/python.md").read_text("utf-8")
    table = re.findall(r"^\| (`.+`) \|", page, re.M)
    named = re.findall(r"\w+", " ".join(table))
    assert sorted(named) == sorted(polyseme.__all__)
    for name in named:
        assert getattr(polyseme, name) is not None


async def _run_as_cells(cells: list[str], names: dict[str, Any]) -> None:
    """Run code as a notebook runs its cells: in one namespace, in a loop that runs, with `await` at the top."""
    for cell in cells:
        code = compile(cell, "docs/python.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        waiting = eval(code, names)
        if inspect.isawaitable(waiting):
            await waiting


def _lines(text: str) -> list[str]:
    """Return the lines that are the same wherever the corpus lies.

    The addresses of its documents draw the random pairs that percentiles are among, and are in the lake's files.
    """
    lines = (re.sub(r"\d\.\d MB", "some MB", line.rstrip()) for line in text.splitlines() if line.strip())
    return [line for line in lines if "mean_percentile" not in line]
