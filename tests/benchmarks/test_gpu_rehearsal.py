"""The way to a GPU is rehearsed where only torch, transformers, tokenizers, safetensors, NumPy and PyArrow are.

With the versions installed here; `make rehearse` does the same with the oldest ones that pyproject.toml allows.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import processes
from tests.benchmarks.bare import CARRIED, environment
from tests.repository import ROOT

SECTION = (ROOT / "docs/python.md").read_text("utf-8").partition("\n## On a GPU machine without a network\n")[2]
VECTORS, TABLES = re.findall(r"```python\n(.*?)```", SECTION, re.S)[:2]


def run(*command: str, cwd: Path = ROOT) -> processes.Completed:
    env = environment()
    return processes.run(sys.executable, *command, env=env, cwd=cwd, check=False)


def test_the_hidden_packages_are_hidden() -> None:
    names = [*CARRIED, "duckdb", "prefect"]
    found = run("-c", f"from importlib.util import find_spec; print(*map(find_spec, {names}))")
    assert found.stdout.split() == ["None"] * len(names)


@pytest.mark.slow
def test_vectors_need_none_of_them(tmp_path: Path) -> None:
    done = run("-c", VECTORS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shape = run("-c", "import numpy; print(numpy.load('vectors.npy').shape)", cwd=tmp_path)
    assert shape.stdout == "(2, 384)\n"


@pytest.mark.slow
def test_documents_need_none_of_them_either(tmp_path: Path) -> None:
    done = run("-c", VECTORS + TABLES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sentences = pq.read_table(tmp_path / "sentences-0.parquet")
    assert sentences["text"].to_pylist() == ["The river left its bank.", "The fields were wet."]


@pytest.mark.slow
def test_every_part_runs_or_names_what_is_missing(tmp_path: Path) -> None:
    written = tmp_path / "gpu.json"
    done = run("-m", "benchmarks.gpu", "--device", "cpu", "--tiny", "--seconds", "2", "--json", str(written))
    assert done.returncode == 0, done.stdout
    found = json.loads(written.read_text())["parts"]
    missing = {name: part["not measured"] for name, part in found.items() if "not measured" in part}
    assert set(missing) == {"pipeline"}
    assert all(any(name in reason for name in CARRIED) for reason in missing.values())
    assert all(part["figures"] for name, part in found.items() if name not in missing)
