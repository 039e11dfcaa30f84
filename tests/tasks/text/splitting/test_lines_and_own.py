"""Text that is split already, and splitters that users install."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.text.sentences import Splitting, split, split_by, splitter_named
from polyseme.tasks.text.splitting import lines, own


@given(st.text(max_size=200))
def test_each_line_that_is_not_blank_is_a_sentence(text: str) -> None:
    spans = list(lines.sentences(text))
    found = [text[s.start : s.stop] for s in spans]
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    assert all(part and part == part.strip() for part in found)
    assert found == [line.strip() for line in text.splitlines() if line.strip()]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a splitter at commas, and one that is wrong."""
    (tmp_path / "clauses_of_mine.py").write_text(
        "def commas(text):\n"
        "    start = 0\n"
        "    for part in text.split(','):\n"
        "        stop = min(start + len(part) + 1, len(text))\n"
        "        if stop > start:\n"
        "            yield start, stop\n"
        "        start = stop\n"
        "NONE = None\n"
        "def wrong(text):\n"
        "    return [(0, 3), (5, len(text))]\n"
    )
    info = tmp_path / "clauses_of_mine-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clauses-of-mine\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[polyseme.splitters]\nclauses = clauses_of_mine:commas\nwrong = clauses_of_mine:wrong\n"
        "gone = clauses_of_mine:gone\nnone = clauses_of_mine:NONE\nlines = clauses_of_mine:commas\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "clauses_of_mine", raising=False)


@pytest.mark.usefixtures("installed")
def test_a_splitter_that_a_package_installs_is_named_with_the_version_of_the_package() -> None:
    name = splitter_named("clauses")
    assert name == splitter_named(name) == "clauses-1.2"
    text = "It rained, she left, \n and so on"
    assert [text[s.start : s.stop] for s in split(text, Splitting(name))] == ["It rained,", "she left,", "and so on"]
    spec = Engine(EngineConfig(device="cpu", splitter="clauses")).spec
    assert (spec.splitter, spec.language) == (name, "auto")
    with pytest.raises(ModelError, match=r"split by clauses-1\.1, and this installation has .*clauses-1\.2"):
        split_by(Splitting("clauses-1.1"))
    with pytest.raises(UsageError, match=r"wrong-1\.2 left characters 3 to 5 out"):
        split(text, Splitting("wrong-1.2"))


@pytest.mark.parametrize("found", [None, [1, 2], [(0.0, 8.0)], ["ab"], [(0, 4, 8)], [("0", "8")]], ids=str)
def test_what_is_no_list_of_spans_is_an_error_of_the_splitter(found: object) -> None:
    with pytest.raises(UsageError, match=r"The splitter s failed with \w+Error. It must return pairs of integers"):
        list(own.checked("s", lambda text: found)("    efgh"))  # type: ignore[arg-type, return-value]


def test_an_error_in_a_splitter_names_it_and_not_the_text() -> None:
    def function(text: str) -> list[tuple[int, int]]:
        raise ValueError(text)

    with pytest.raises(UsageError) as raised:
        list(own.checked("mine-1.0", function)("a secret"))
    assert "The splitter mine-1.0 failed with ValueError." in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("name", "message"), [("gone", "cannot be imported"), ("none", "is no function")])
def test_a_package_without_its_splitter_is_told(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_by(Splitting(f"{name}-1.2"))


@pytest.mark.usefixtures("installed")
def test_a_splitter_with_one_of_our_names_is_typed_with_its_version() -> None:
    with pytest.raises(UsageError, match=r"there are rules, nupunkt, lines, clauses, gone, lines-1\.2, none, wrong"):
        splitter_named("nothing")
    assert splitter_named("lines-1.2") == "lines-1.2"
    assert splitter_named("lines") == lines.NAME


@pytest.mark.parametrize("spans", [[(0, 4), (3, 8)], [(4, 8), (0, 4)], [(0, 9)], [(0, 0), (0, 8)], [(-1, 8)]])
def test_spans_that_are_not_in_order_disjoint_and_inside_are_refused(spans: list[tuple[int, int]]) -> None:
    def function(text: str) -> list[tuple[int, int]]:
        return spans

    with pytest.raises(UsageError, match="Spans are half-open, in order, disjoint and not empty"):
        list(own.checked("s", function)("    efgh"))
