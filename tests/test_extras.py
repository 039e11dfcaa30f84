"""Tests that need an extra are marked, since `make test-rest` would pass by one that `make test` skips."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator

from tests.repository import ROOT

MARKS = {"extra", "slow", "server", "servers", "cluster", "torture"}
"""Of what `make test-rest` runs."""
OF_DEVELOPERS = {"all", "bench", "browser", "dev", "docs", "parity"}
INSTALLED = "'torch'"
"""Skipped without it on a bare machine alone."""


def unmarked(source: str) -> Iterator[str]:
    """Yield the tests that skip without some package and have none of the marks; `module` for all of a module."""
    tree = ast.parse(source)
    skips = {id(node): any(map(_is_skip, ast.walk(node))) for node in tree.body}
    named = {mark for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0])
             for mark in _marks(node)}  # fmt: skip
    for node in tree.body:
        if not skips[id(node)] or named & MARKS:
            continue
        if isinstance(node, ast.ClassDef) and not MARKS & set(_marks(*node.decorator_list)):
            inside = (found for found in node.body if isinstance(found, ast.FunctionDef))
            yield from (f.name for f in inside if any(map(_is_skip, ast.walk(f))) and not _is_marked(f))
        elif isinstance(node, ast.FunctionDef):
            if not _is_marked(node):
                yield node.name
        elif not isinstance(node, ast.ClassDef):
            yield "module"


def _is_skip(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args or ast.unparse(node.args[0]) == INSTALLED:
        return False
    called = ast.unparse(node.func)
    return called == "pytest.importorskip" or (called == "require" and len(node.args) == 2)


def _is_marked(function: ast.FunctionDef) -> bool:
    return bool(MARKS & set(_marks(*function.decorator_list))) or not function.name.startswith("test")


def _marks(*nodes: ast.AST) -> Iterator[str]:
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "pytest.mark":
                yield part.attr


def test_the_extra_all_has_every_extra_of_users() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"polyseme[{','.join(sorted(extras.keys() - OF_DEVELOPERS))}]"


def test_tests_that_skip_without_an_extra_are_marked() -> None:
    found = {
        path.relative_to(ROOT): list(unmarked(path.read_text("utf-8"))) for path in ROOT.glob("tests/**/test_*.py")
    }
    assert found
    assert {path: names for path, names in found.items() if names} == {}


def test_what_is_not_marked_is_found() -> None:
    assert list(unmarked("import pytest\nrequire('a', 'b')\ndef test_it(): pass")) == ["module"]
    assert list(unmarked("def test_it():\n    pytest.importorskip('a')\ndef test_other(): pass")) == ["test_it"]
    assert list(unmarked("@pytest.mark.extra\ndef test_it():\n    require('a', 'b')")) == []
    assert list(unmarked("pytestmark = pytest.mark.extra\nrequire('a', 'b')\ndef test_it(): pass")) == []
    assert list(unmarked("class TestIt:\n    def test_it(self):\n        require('a', 'b')")) == ["test_it"]
