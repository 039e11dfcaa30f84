"""What the rooms may load: no torch outside those of the network, and nothing heavy by `import polyseme` alone."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import polyseme
from tests import processes
from tests.repository import ROOT

WITHOUT_TORCH = ("analysis", "arrays", "encode", "engine", "exports", "groups", "inference", "reading", "shards",
                 "shipped", "sql", "text", "worker_processes")  # fmt: skip
LOADED = """
import sys
from importlib import import_module
heavy, *names = sys.argv[1:]
for name in names:
    import_module(name)
    found = sorted(set(heavy.split()) & sys.modules.keys())
    if found:
        sys.exit(f"importing {name} loads {', '.join(found)}")
"""
NEEDS = {"polyseme.tasks.reading.databases.mysql_connection": "pymysql"}
"""Modules that are imported only where a package of an extra is used, and that package."""
NAMES = "import polyseme\nfor name in polyseme.__all__:\n    assert getattr(polyseme, name).__name__ == name, name"


def run(code: str, *arguments: str) -> None:
    """Run `code` in a process of its own, which has imported nothing yet."""
    processes.run(sys.executable, "-c", code, *arguments)


def modules(room: str) -> list[str]:
    """Return the dotted names of all modules of a room of tasks, which is a folder or a single file."""
    place = ROOT / "tasks" / room
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    names = ("polyseme." + ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [name.removesuffix(".__init__") for name in names]


def test_no_module_outside_the_rooms_of_the_network_loads_torch() -> None:
    names = [name for room in WITHOUT_TORCH for name in modules(room)]
    assert len(names) > 40
    names = [name for name in names if name not in NEEDS or find_spec(NEEDS[name]) is not None]
    run(LOADED, "torch transformers", *names)


def test_importing_polyseme_loads_nothing_heavy() -> None:
    run(LOADED, "duckdb numpy prefect pyarrow pydantic sqlalchemy tokenizers torch transformers", "polyseme")


def test_every_public_name_resolves() -> None:
    run(NAMES)
    assert set(polyseme.__all__) <= set(dir(polyseme))
    with pytest.raises(AttributeError, match="'polyseme' has no attribute 'nothing'"):
        _ = polyseme.nothing


def test_type_checkers_see_every_public_name_where_it_is_loaded_from() -> None:
    tree = ast.parse(Path(polyseme.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert len(imports) == len(block.body)
    declared = {alias.name: node.module for node in imports for alias in node.names}
    assert declared == {name: f"polyseme.{home}" for name, home in polyseme._HOMES.items()}
    assert polyseme.__all__ == sorted(declared)
