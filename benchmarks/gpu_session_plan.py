"""The plan of a session on a GPU machine, its clock, and its record on disk. Needs Python alone.

Plain values, because the parts run in processes of their own.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CHECK, TRAIN = "check", "train"
MEASUREMENTS = (
    "correctness", "matrix", "utilisation", "rates", "mixed", "nsp", "pairs", "likelihood", "pipeline", "memory",
    "training",
)  # fmt: skip
"""The parts of `benchmarks.gpu`, the most valuable first: minutes may end, or a machine be lost, at any moment."""
_CHECK_SECONDS, _CHECK_TINY_SECONDS = 60.0, 600.0
"""The most seconds of the check. A rehearsal may run on a machine with much else to do."""
_MEASURING = 0.5
"""The share of the minutes that measurements may take if training follows."""
_MOST_SECONDS, _TINY_SECONDS = 30.0, 2.0
"""Bounds of the approximate seconds per measurement."""
_STARTING = 30.0
"""Seconds that a part may take in addition, for models and peers to load."""
_LEAST = 5.0
"""With fewer seconds left a part is not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do until when. `out` keeps the results, `work` what need not come back; `started` is a Unix time.

    `train_options` are fields of `Adaptation`, of which `training`, `objective`, `reading` and `shape` are objects.
    """

    out: str
    work: str
    started: float
    minutes: float
    parts: tuple[str, ...]
    device: str = "cuda"
    tiny: bool = False
    model: str | None = None
    texts: tuple[str, ...] = ()
    train_options: dict[str, Any]
    reserve_seconds: float = 60.0
    snapshot_seconds: float = 120.0
    piece_mib: float = 15.0

    @property
    def end(self) -> float:
        """The Unix time at which everything must have ended."""
        return self.started + 60 * self.minutes

    @property
    def train_end(self) -> float:
        """The Unix time at which training stops, so that the model can be written and split."""
        return self.end - self.reserve_seconds

    @property
    def seconds(self) -> float:
        """The approximate seconds of one measurement."""
        if self.tiny:
            return _TINY_SECONDS
        measured = [part for part in self.parts if part in MEASUREMENTS]
        window = (self._measure_end - self.started - _CHECK_SECONDS) / max(1, len(measured))
        return min(_MOST_SECONDS, max(1.0, 0.6 * window))

    def limit(self, part: str) -> float | None:
        """Return the most seconds that `part` may take from now on; None if it should not begin."""
        now = time.time()
        if part == CHECK:
            seconds = _CHECK_TINY_SECONDS if self.tiny else _CHECK_SECONDS
            return max(1.0, self.started + seconds - now)
        if part == TRAIN:
            return self.end - now if now < self.train_end else None
        left = self._measure_end - now
        return None if left < _LEAST else min(left, 3 * self.seconds + _STARTING)

    @property
    def _measure_end(self) -> float:
        share = _MEASURING if TRAIN in self.parts else 1.0
        return self.started + 60 * self.minutes * share

    def to_json(self) -> str:
        """Return the plan for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**fields | {name: tuple(fields[name]) for name in ("parts", "texts")})


class Record:
    """`session.json` in the folder of the results: replaced as a whole after every figure. One process writes."""

    def __init__(self, out: Path) -> None:
        self.path = out / "session.json"
        self.content: dict[str, Any] = {"parts": {}}
        if self.path.is_file():
            self.content = json.loads(self.path.read_text("utf-8"))

    def put(self, part: str, found: dict[str, Any]) -> None:
        """Store what is known of `part`."""
        self.content["parts"][part] = found
        self.write()

    def state(self, part: str) -> str | None:
        """Return `running` or `ended`; None for a part that was not begun."""
        found: str | None = self.content["parts"].get(part, {}).get("state")
        return found

    def write(self) -> None:
        """Write everything to disk."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.content, indent=2) + "\n", "utf-8")
        temporary.replace(self.path)
