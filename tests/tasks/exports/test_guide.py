"""docs/export.md: what it says to run reads an export, and every format is on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.tasks.exports.formats import Format
from tests.extras import require
from tests.repository import ROOT
from tests.tasks.exports.lake_rows import export
from tests.tasks.exports.read_back import LIBRARIES, FolderTarget

PAGE = (ROOT / "docs" / "export.md").read_text("utf-8")
FOLDERS = {
    "npy": "vectors", "faiss": "index", "lance": "sentences.lance", "hf-dataset": "dataset", "delta": "delta",
    "qdrant": "qdrant", "atlas": "map",
}  # fmt: skip
FORMATS = [pytest.param(name, marks=pytest.mark.extra) if name in LIBRARIES else name for name in FOLDERS]


@pytest.mark.parametrize("format", FORMATS)
def test_the_python_of_a_format_reads_an_export(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    if format in LIBRARIES:
        require(*LIBRARIES[format])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache", raising=False) if (
        format == "hf-dataset"
    ) else None
    export(catalog, FolderTarget(format, Path(FOLDERS[format])))
    section = PAGE.partition(f"\n## {format}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out


def test_every_format_has_a_section_and_a_line_in_the_table() -> None:
    for name in get_args(Format):
        assert f"\n## {name}\n" in PAGE
        assert f"| [`{name}`](#{name}) |" in PAGE
