"""The documentation is under test: its SQL runs, its columns exist, its file tree is the tree."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator

import duckdb
import pytest

from polyseme.storage.sql.connection import connect
from tests.embedded_lakes import documents, make
from tests.repository import ROOT


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    lake = make(tmp_path_factory.mktemp("docs") / "lake", documents())
    opened = connect(lake.root)
    yield opened
    opened.close()


@pytest.fixture
def docs_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `python docs/….py` has: its own folder to import from."""
    monkeypatch.syspath_prepend(ROOT / "docs")


def statements(sql: str) -> list[str]:
    without_comments = re.sub(r"--.*", "", sql)
    return [s.strip() for s in without_comments.split(";") if s.strip()]


def test_the_recipes_of_the_readme_run(con: duckdb.DuckDBPyConnection) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    recipes = statements(block)
    assert len(recipes) == 4
    for recipe in recipes:
        con.execute(recipe).fetchall()
    assert len(con.execute(recipes[0]).fetchall()) == 10


def test_the_example_queries_run(con: duckdb.DuckDBPyConnection) -> None:
    queries = statements((ROOT / "examples" / "queries.sql").read_text("utf-8"))
    assert len(queries) > 10
    for query in queries:
        con.execute(query).fetchall()


def test_the_data_model_lists_the_columns_of_every_view(con: duckdb.DuckDBPyConnection) -> None:
    described = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", (ROOT / "docs/data-model.md").read_text(), re.M))
    for view in ("documents", "sentences", "words", "tokens", "transitions", "coherence", "rejects"):
        columns = [row[0] for row in con.execute(f"DESCRIBE {view}").fetchall()]
        named = re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", described[view])))
        assert named == columns, view


def test_the_architecture_page_has_the_tree_that_is_printed_from_the_docstrings(docs_on_path: None) -> None:
    tree = runpy.run_path(str(ROOT / "docs/tree.py"))["tree"]()
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    assert tree in page, "run python docs/tree.py --write"
    assert all(len(line) <= 120 for line in tree.splitlines())


def test_the_architecture_page_shows_every_module_once_with_a_summary() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    sections = re.findall(r"^((?:\w+/)+)  \S.*\n((?:  .+\n)*)", text, re.MULTILINE)
    shown = [folder + module for folder, lines in sections for module in re.findall(r"^  (\w+\.py) +\S", lines, re.M)]
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in ("flows", "tasks", "storage")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(shown) == sorted(there | {"polyseme/__main__.py"})


def test_the_readme_names_only_commands_that_exist() -> None:
    from polyseme.flows.cli import app

    named = set(re.findall(r"polyseme ([a-z]+(?:-[a-z]+)*) ", (ROOT / "README.md").read_text("utf-8")))
    commands = set(app)
    assert named & commands
    assert named <= commands | {"runs"}, named - commands
