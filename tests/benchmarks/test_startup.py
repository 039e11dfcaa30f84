"""The start-up benchmark measures what it says: processes of their own, and what they imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.startup import measure
from tests.repository import ROOT


@pytest.mark.slow
def test_a_run_without_work_imports_neither_prefect_nor_torch(tmp_path: Path) -> None:
    found = {one.what: one for one in measure([], "polyseme-mini", 1, ROOT, tmp_path)}
    assert {what for what, one in found.items() if "torch" in one.loaded} == {"one of 100 changed"}
    assert found["one of 100 changed"].children > 0
    assert all(one.children == 0 for what, one in found.items() if what != "one of 100 changed")
    assert all(one.process > 0 for one in found.values())
