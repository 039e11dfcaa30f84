"""Timing of alternatives in rounds, A B C A B C ..., so that other work on the machine affects all of them.

Measures seconds; knows nothing of what runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one alternative, one entry per round: CPU time of all threads of this process, and wall time."""

    cpu: list[float]
    wall: list[float]

    @property
    def typical(self) -> float:
        """Median CPU seconds."""
        return statistics.median(self.cpu)

    @property
    def spread(self) -> str:
        """The least and the most CPU seconds, as text."""
        return f"{min(self.cpu):.2f}-{max(self.cpu):.2f}"

    @property
    def typical_wall(self) -> float:
        """Median wall seconds."""
        return statistics.median(self.wall)

    def over(self, other: Times) -> list[float]:
        """Return the CPU seconds as multiples of `other`'s, by round."""
        return [mine / theirs for mine, theirs in zip(self.cpu, other.cpu, strict=True)]


def race(runners: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = False) -> dict[str, Times]:
    """Run all once as a warm-up, unless they are `warm`, then `rounds` times, interleaved."""
    for run in () if warm else runners.values():
        run()
    times = {name: Times([], []) for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].cpu.append(time.process_time() - cpu)
            times[name].wall.append(time.perf_counter() - wall)
    return times
