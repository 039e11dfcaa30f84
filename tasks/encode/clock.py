"""Where the time of a run goes: wall seconds by stage. Knows no stage by name but the caller's own, `outside`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class StageClock:
    """Wall seconds by stage: `lap` adds the time since the last lap to a stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def add(self, seconds: dict[str, float]) -> None:
        """Add seconds by stage that were measured elsewhere since the last lap."""
        for stage, value in seconds.items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + value
        self._last = time.perf_counter()

    def between(self, items: Iterable[Item], before: str, after: str) -> Iterator[Item]:
        """Yield `items`. Time until one is there is added to `before`, until the next is asked for to `after`."""
        for item in items:
            self.lap(before)
            yield item
            self.lap(after)

    def reset(self) -> dict[str, float]:
        """Return the seconds by stage, without the time that the caller took, and start again."""
        seconds, self._seconds = self._seconds, {}
        seconds.pop("outside", None)
        return seconds
