"""Names, catalogs, events and bytes that nobody thought of: seconds of each here, minutes of each in `make torture`.

The first three are the same cases every time; a failure is printed with what reproduces it.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import AbstractContextManager

import pytest
from hypothesis import strategies as st

from polyseme.tasks.engine import Engine
from tests import processes
from tests.hostile import fuzz_catalogs, fuzz_events, fuzz_names
from tests.hostile.fuzzing import Property, fuzz, hold
from tests.repository import ROOT


def fuzzed(what: str, seconds: float, seed: int) -> dict[str, object]:
    """Fuzz in a process of its own, so that an end of the process is a failure and not the end of the tests."""
    command = (
        sys.executable,
        "-m",
        "tests.hostile.fuzz",
        "--what",
        what,
        "--seconds",
        str(seconds),
        "--seed",
        str(seed),
    )
    done = processes.run(*command, cwd=ROOT, check=False, seconds=seconds + processes.DEADLINE_SECONDS)
    assert done.returncode in (0, 1), f"the process ended with {done.returncode}: {done.stderr[-2000:]}"
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_any_name_of_a_file_a_lake_or_a_record_is_read_once_or_refused(foreign: Engine) -> None:
    with fuzz_names.promise(foreign) as promise:
        hold(promise, examples=12)


@pytest.mark.parametrize(
    ("given", "examples"), [(fuzz_catalogs.promise, 8), (fuzz_events.promise, 100)], ids=["catalog", "event"]
)
def test_any_value_in_it_is_used_rightly_or_refused(
    given: type[AbstractContextManager[Property]], examples: int
) -> None:
    with given() as promise:
        hold(promise, examples=examples)


def test_no_bytes_break_a_reader_for_some_seconds() -> None:
    found = fuzzed("readers", 6, 0)
    assert found["broken"] == []
    assert found["files"] > 100  # type: ignore[operator]


def test_a_fault_is_reported_once_with_a_seed_that_gives_it_again() -> None:
    cases = list[int]()

    def check(case: int) -> None:
        cases.append(case)
        assert case < 1000

    found = fuzz(Property(st.integers(), check), seconds=2, first=7)
    (fault,) = found["broken"]  # type: ignore[misc]
    assert re.search(r"^\d+ x seed \d+: \d{4,}: AssertionError", fault)
    first = cases[:]
    cases.clear()
    fuzz(Property(st.integers(), check), seconds=2, first=7)
    same = min(len(first), len(cases))
    assert first[:same] == cases[:same]
