"""The documentation is under test: its SQL and Python run, and the columns, names, files and links on it exist."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import duckdb
import pytest

import polyseme
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.connection import connect
from tests.embedded_lakes import documents, make
from tests.repository import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "prefect.yaml")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
]
EXAMPLES_OF_PATHS = {"models/news-2026-11-01"}
OTHER_NAMES = {"toml", "functions", "corpus", "source", "run", "document", "encoding", "coherence", "model", "lake"}
OTHER_NAMES |= {
    "committed",
    "documents",
    "forward",
    "redescribed",
    "reject",
    "rejects",
    "reused",
    "rounded",
    "sentences",
    "shards",
    "stage",
}
OTHER_NAMES |= {"maintenance", "splitters", "tokens", "transitions", "written"}
"""What comes after `polyseme.` in a file name, an entry point group, events, resource ids, metrics and attributes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake in it."""
    folder = tmp_path_factory.mktemp("docs")
    make(folder / "lake", documents())
    return folder


@pytest.fixture(scope="module")
def con(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(folder / "lake") as opened:
        yield opened


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


@pytest.mark.parametrize("page", ["README.md", "docs/sql.md"])
def test_the_python_of_a_page_runs(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    assert "similarity" in capsys.readouterr().out if "show()" in block else names["matrix"].shape[1] == 384


def test_the_example_queries_run(con: duckdb.DuckDBPyConnection) -> None:
    queries = statements((ROOT / "examples" / "queries.sql").read_text("utf-8"))
    assert len(queries) > 10
    for query in queries:
        con.execute(query).fetchall()


def test_the_data_model_lists_the_columns_of_every_view(con: duckdb.DuckDBPyConnection) -> None:
    described = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", (ROOT / "docs/data-model.md").read_text(), re.M))
    for view in ("documents", "sentences", "words", "tokens", "transitions", "coherence", "rejects", "skipped"):
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


def test_the_api_page_has_the_reference_that_is_printed_from_the_docstrings(docs_on_path: None) -> None:
    api = runpy.run_path(str(ROOT / "docs/api.py"))
    page = (ROOT / "docs/api.md").read_text("utf-8")
    assert api["reference"]() in page, "run python docs/api.py --write"
    names = re.findall(r"^### `(\w+)`$", page.partition("## What they return")[0], re.M)
    assert sorted(names) == sorted(polyseme.__all__)


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_polyseme_on_a_page_can_be_imported(page: Path) -> None:
    for name in sorted(set(re.findall(r"\bpolyseme(?:\.\w+)+(?::\w+)?", page.read_text("utf-8")))):
        if name.split(".")[1] not in OTHER_NAMES:
            resolve_name(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_module_named_on_a_page_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    tops = "flows|tasks|storage|polyseme|tests|docs|benchmarks|examples|models|\\.ci"
    paths = {found.rstrip(".") for found in re.findall(rf"(?<![\w./-])(?:{tops})/[\w./-]*", text)}
    assert [path for path in sorted(paths - EXAMPLES_OF_PATHS) if not (ROOT / path).exists()] == []
    modules = {found.rstrip(".") for found in re.findall(r"-m\s+((?:benchmarks|examples|tests)\.[\w.]+)", text)}
    assert [name for name in sorted(modules) if find_spec(name) is None] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.name)
def test_every_link_on_a_page_leads_somewhere(page: Path) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text("utf-8")):
        there = page.parent / target if target else page
        assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.M)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target
