"""The documentation is under test: its SQL runs, its columns exist, its file tree is the tree."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.errors import UsageError
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


def test_the_configuration_page_has_the_reference_that_is_printed_from_the_commands(docs_on_path: None) -> None:
    reference = runpy.run_path(str(ROOT / "docs/configuration.py"))["reference"]()
    assert reference in (ROOT / "docs/configuration.md").read_text("utf-8"), "run python docs/configuration.py --write"


@pytest.mark.parametrize(("place", "name_of"), [("environment", "variable"), ("file", "key")])
def test_an_option_is_read_from_the_variable_and_the_key_that_the_page_names(
    place: str, name_of: str, docs_on_path: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.cli import app
    from polyseme.flows.settings import sources_of_settings

    name_of_option = runpy.run_path(str(ROOT / "docs/configuration.py"))[name_of]
    monkeypatch.chdir(tmp_path)
    for command in (name for name in app if not name.startswith("-")):
        arguments = app[command].assemble_argument_collection()
        named = {name: option for option in arguments if option.show and (name := name_of_option(option))}
        with monkeypatch.context() as patch, app.app_stack([app[command]]):
            if place == "environment":
                for name in named:
                    patch.setenv(name, "1")
            else:
                lines = "".join(f'{name} = "1"\n' for name in named)
                Path("polyseme.toml").write_text(f"[{command}]\n{lines}", encoding="utf-8")
            for read in sources_of_settings():
                read(app[command], (command,), arguments)
        assert [name for name, option in named.items() if not option.has_tokens] == [], command


def test_a_corpus_has_the_keys_that_the_page_names(
    docs_on_path: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.server.corpora import configured

    (tmp_path / "polyseme.toml").write_text('[corpus.a]\nsources = ["x"]\nnonsense = 1\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        configured()
    known = re.findall(r"\w+", str(caught.value).partition("Options: ")[2])
    page = runpy.run_path(str(ROOT / "docs/configuration.py"))
    assert sorted(key for key, *_ in page["corpus_keys"]()) == sorted(known)


def test_the_readme_names_only_commands_that_exist() -> None:
    from polyseme.flows.cli import app

    named = set(re.findall(r"polyseme ([a-z]+(?:-[a-z]+)*) ", (ROOT / "README.md").read_text("utf-8")))
    commands = set(app)
    assert named & commands
    assert named <= commands | {"runs"}, named - commands
