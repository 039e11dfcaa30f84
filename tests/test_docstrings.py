"""The corpus of examples/docstrings.py: prose alone, nothing twice, the same every time."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.repository import ROOT

SCRIPT = ROOT / "examples" / "docstrings.py"

MODULE = '''
"""Rivers and their banks. They are read from files."""

class Bank:
    """Two lines that say
    what a bank is. It holds water.

    >>> Bank().level
    3

    The level is in metres. It never falls:

        bank.rise()

    - not this
    rise(by, until) -> None
    """

    def rise(self):
        """Raise the level."""

    def fall(self):
        """Rivers and their banks. They are read from files."""
'''


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_prose_of_two_sentences_or_more_is_kept_and_code_lists_and_signatures_are_not(
    script: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "river.py").write_text(MODULE, encoding="utf-8")
    assert list(script["paragraphs"](tmp_path / "river.py")) == [
        "Rivers and their banks. They are read from files.",
        "Two lines that say what a bank is. It holds water.",
        "Rivers and their banks. They are read from files.",
    ]


def test_a_file_that_is_no_python_is_passed_over(script: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "template.py").write_text("def ${name}(): pass", encoding="utf-8")
    assert list(script["paragraphs"](tmp_path / "template.py")) == []


def test_the_library_is_read_in_order_and_nothing_in_it_twice(script: dict[str, Any], tmp_path: Path) -> None:
    many = "".join(f'def f{i}():\n    """This is the {i}th. It does nothing at all."""\n' for i in range(10))
    (tmp_path / "b.py").write_text(many, encoding="utf-8")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "__init__.py").write_text(many, encoding="utf-8")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "c.py").write_text(many.replace("does", "tests"), encoding="utf-8")
    ((name, text),) = script["documents"](tmp_path)
    assert name == "a"
    assert text.count("\n\n") == 9


def test_this_python_has_a_corpus_that_fills_minutes(script: dict[str, Any]) -> None:
    import sysconfig

    found = dict(script["documents"](Path(sysconfig.get_path("stdlib"))))
    assert len(found) > 200
    assert sum(map(len, found.values())) > 500_000
    assert not any(" >>> " in f" {text}" for text in found.values())
