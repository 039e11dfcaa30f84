"""Readers end in documents and rejects whatever bytes come: some seconds here, ten minutes under `torture`."""

from __future__ import annotations

import json
import sys

import pytest

from tests import processes
from tests.repository import ROOT


def fuzzed(seconds: float, seed: int) -> dict[str, object]:
    """Fuzz in a process of its own, so that an end of the process is a failure and not the end of the tests."""
    command = (sys.executable, "-m", "tests.hostile.fuzz_readers", "--seconds", str(seconds), "--seed", str(seed))
    done = processes.run(*command, cwd=ROOT, check=False, seconds=seconds + processes.DEADLINE_SECONDS)
    assert done.returncode in (0, 1), f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_no_bytes_break_a_reader_for_some_seconds() -> None:
    found = fuzzed(6, 0)
    assert found["broken"] == []
    assert found["files"] > 100  # type: ignore[operator]


@pytest.mark.torture
@pytest.mark.parametrize("seed", [1, 2])
def test_no_bytes_break_a_reader_for_ten_minutes(seed: int) -> None:
    assert fuzzed(300, seed)["broken"] == []
