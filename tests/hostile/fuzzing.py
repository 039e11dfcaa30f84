"""A property run over cases that hypothesis draws: a few for the suite, always the same, or as many as time allows.

Knows neither the cases nor what is promised of them.
"""

from __future__ import annotations

import faulthandler
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

MOST_CPU_SECONDS = 10.0
"""What one case may take. Processor time, because a limit of wall time is a test of the machine."""
_HUNG_SECONDS = 600.0
_ROUND = 50
_MOST_FAULTS = 10
_USUAL = settings(deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Property:
    """What is promised: `check` raises for one of the `cases` of which it does not hold."""

    cases: SearchStrategy[Any]
    check: Callable[[Any], None]


def hold(promise: Property, *, examples: int) -> None:
    """Check the same few cases every time; a failure is reduced, and printed with what reproduces it."""
    run = given(promise.cases)(_bounded(promise.check))
    settings(_USUAL, derandomize=True, max_examples=examples)(run)()


def fuzz(promise: Property, *, seconds: float, first: int) -> dict[str, object]:
    """Check new cases for so long; return how many there were, and each fault once with its case and its seed.

    The cases follow from the seed, which rises by one every 50 of them: `first` and on. A fault is known by its type
    and place, and does not end the run.
    """
    until = time.monotonic() + seconds
    faults, seen, cases, number = dict[str, str](), Counter[str](), 0, first

    def check(case: Any) -> None:
        nonlocal cases
        if time.monotonic() > until or len(faults) >= _MOST_FAULTS:
            return
        cases += 1
        try:
            _bounded(promise.check)(case)
        except Exception as error:
            place = _place(error)
            seen[place] += 1
            faults.setdefault(place, f"seed {number}: {_short(case)}: {type(error).__name__}: {_short(error)}")
            if seen[place] == 1:
                traceback.print_exc(file=sys.stderr)

    while time.monotonic() < until and len(faults) < _MOST_FAULTS:
        run = given(promise.cases)(check)
        run = settings(_USUAL, max_examples=_ROUND, phases=[Phase.generate])(run)
        seed(number)(run)()
        number += 1
    return {"cases": cases, "seeds": [first, number - 1], "broken": [f"{seen[p]} x {f}" for p, f in faults.items()]}


def _bounded(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Require that a check takes little processor time, and end the process with a traceback if it hangs."""

    def bounded(case: Any) -> None:
        faulthandler.dump_traceback_later(_HUNG_SECONDS, exit=True, file=sys.__stderr__)
        began = time.process_time()
        try:
            check(case)
        finally:
            faulthandler.cancel_dump_traceback_later()
        took = time.process_time() - began
        assert took < MOST_CPU_SECONDS, f"it took {took:.0f} s of processor time"

    return bounded


def _place(error: BaseException) -> str:
    """Return the type of an error and the innermost line of this project that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    frames = [f for f in frames if "/lib/python" not in f.filename] or frames
    return f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"


def _short(value: object) -> str:
    text = ascii(value) if not isinstance(value, BaseException) else ascii(str(value))
    return text if len(text) <= 1000 else f"{text[:1000]}…"
