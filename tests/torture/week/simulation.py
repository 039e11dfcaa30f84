"""Simulation: edits, then a run or something else; again and again, with a comparison after each."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from polyseme.tasks.engine import Engine
from tests.torture.week import changes, steps
from tests.torture.week.week import Week


def simulate(place: Path, engines: Sequence[Engine], *, runs: int, seed: int, commands: int, most: int = 5) -> Week:
    """Simulate until so many runs were made or so many violations found, and return what came of it.

    `commands` of the runs are real commands, and with any a standing server is killed a few times at half-time.
    """
    week, began = Week(changes.begin(place, seed), engines), time.monotonic()
    due = [runs * (2 * i + 1) // (2 * commands) for i in range(commands)]
    stands = [runs // 2] if commands else []
    while week.figures["runs"] < runs and len(week.violations) < most:
        before = week.figures["runs"]
        if due and before >= due[0]:
            del due[0]
            steps.command(week)
        elif stands and before >= stands[0]:
            del stands[0]
            steps.stand(week)
        else:
            _step(week)
        if week.figures["runs"] // 20 > before // 20:
            seconds = time.monotonic() - began
            print(f"{week.figures['runs']} runs, {len(week.violations)} violations, {seconds:.0f} s", file=sys.stderr)
    if len(week.violations) < most:
        steps.end(week)
    return week


def _step(week: Week) -> None:
    for _ in range(week.chance.choice((0, 1, 1, 2, 3, 5))):
        week.edit()
    kind = week.chance.random()
    if kind < 0.16:
        steps.maintain(week)
    elif kind < 0.22:
        steps.several(week)
    else:
        steps.run(week)
