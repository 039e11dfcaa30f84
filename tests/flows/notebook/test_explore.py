"""The example notebook: as a script it prints what its cells show, and as a page it has them."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests import embedded_lakes, processes
from tests.extras import require
from tests.repository import ROOT

NOTEBOOK = ROOT / "examples" / "explore.py"
CHOICES = ("--word", "bank", "--document", "money", "--search", "Trout hide there all day.")

pytestmark = pytest.mark.extra
require("marimo", "notebook")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explore") / "lake"
    embedded_lakes.make(root, embedded_lakes.documents())
    return root


def test_as_a_script_the_notebook_prints_figures_senses_coherence_and_hits(lake: Path) -> None:
    shown = processes.run(sys.executable, NOTEBOOK, "--lake", lake, *CHOICES).stdout
    figures, senses, coherence, hits = re.split(r"\n\n(?=[┌─])", shown.strip())
    assert "6 documents, 18 sentences" in figures
    assert {"1", "2"} <= set(re.findall(r"^│ +(\d) ", senses, re.MULTILINE))
    assert coherence.count("The bank lent him the money.") == 1
    assert "2 rows" in coherence
    assert "Trout hide there all day." in hits.split("─ 2 ")[0]
    assert "5 rows" in hits


def test_as_a_page_the_notebook_has_the_same(lake: Path, tmp_path: Path) -> None:
    # A copy: marimo keeps the outputs of a page beside its notebook.
    page, notebook = tmp_path / "page.html", shutil.copy(NOTEBOOK, tmp_path)
    command = (sys.executable, "-m", "marimo", "export", "html", notebook, "-o", page, "--", "--lake", lake, *CHOICES)
    processes.run(*command)
    text = page.read_text("utf-8")
    assert "Trout hide there all day." in text
    assert "On money" in text
    assert "Traceback" not in text
