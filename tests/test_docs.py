"""The documentation is under test: its SQL runs, its columns exist, its file tree is the tree."""

from __future__ import annotations

import re
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


def test_the_architecture_page_shows_every_module_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for folder in ("flows", "flows/commands", "tasks", "storage"):
        section = text.split(f"\n{folder}/", 1)[1].split("\n\n", 1)[0]
        shown = re.findall(r"^  (\w+\.py)  ", section, re.MULTILINE)
        there = sorted(p.name for p in (ROOT / folder).glob("*.py") if p.name != "__init__.py")
        assert sorted(shown) == there, folder


def test_the_readme_names_only_commands_that_exist() -> None:
    from polyseme.flows.cli import app

    named = set(re.findall(r"polyseme ([a-z]+(?:-[a-z]+)*) ", (ROOT / "README.md").read_text("utf-8")))
    commands = set(app)
    assert named & commands
    assert named <= commands | {"runs"}, named - commands
