"""Reuse: runs that copy vectors from the lake, killed at system calls while another process merges and removes parts.

    python -m tests.torture.reuse [--count N] [--seed S] [--often SHARE] [--near KIND] [--mutant M]

The writer is stopped at a few of its calls on parts, meanwhile all small parts are merged and every file that is not
needed is removed, without a grace period; at another call it is killed. Then each document must have the rows that it
has in a lake made at once of the texts before or after the run, and once the runs are resumed the whole lake must equal
one made at once. A model with threads can be traced like any other writer: it is loaded once, before the writers fork,
and has no thread until one of them encodes. A run with a mutant ends at the first kill that reveals it. Prints figures
as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polyseme.tasks.engine import Engine
from tests.torture import reuse_scenario as scenario
from tests.torture.reuse_mutants import REUSE_MUTANTS
from tests.torture.tracer import Call, Verdict, trace, unavailable

_SHOWN = 5
_OFTEN = 0.03


@dataclass
class _Disturbed:
    """What is done at the calls of a writer: maintenance at some, an end before the call number `last`."""

    root: Path
    chance: random.Random
    often: float
    near: str = ""
    last: int | None = None
    calls: int = 0
    maintained: int = 0
    killed_before: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> Verdict:
        self.calls += 1
        is_of_part = ".parquet" in call.path
        if self.last is not None and self.calls > self.last:
            self.killed_before.append(f"{call.kind} {'part' if is_of_part else 'other'}")
            return Verdict.KILL
        if is_of_part and self.near in call.kind and self.chance.random() < self.often:
            self.maintained += scenario.keep_house(self.root, self.chance.randrange(4))
        return Verdict.PASS


def kill(options: argparse.Namespace, engine: Engine, place: Path) -> dict[str, Any]:
    """SIGKILL before `count` calls spread over all runs, resume them, and count what differs from a fresh lake."""
    count, mutant, often, near = options.count, options.mutant, options.often, options.near
    states = _states(place, engine)
    chance = random.Random(options.seed)
    kinds: Counter[str] = Counter()
    whole, maintained = place / "undisturbed", 0
    whole.mkdir()
    undisturbed = _Disturbed(whole / "lake", chance, 0.0)
    code = _traced(whole, engine, undisturbed, mutant)
    bad = [f"undisturbed: {fault}" for fault in _ended(code) + _faults(whole / "lake", states[-1:])]
    calls = undisturbed.calls
    for trial in range(count):
        if bad and mutant != "none":
            break
        point, folder = int((trial + chance.random()) * calls / count), place / f"trial-{trial}"
        folder.mkdir()
        killing = _Disturbed(folder / "lake", chance, often, near, point)
        code = _traced(folder, engine, killing, mutant)
        kinds[killing.killed_before[0] if killing.killed_before else "finished"] += 1
        done = _done(folder)
        found = _ended(code) + _faults(folder / "lake", states[done : done + 2])
        bad += [f"killed at call {point}: {fault}" for fault in found]
        resuming = _Disturbed(folder / "lake", chance, often, near)
        code = _traced(folder, engine, resuming, mutant, start=done)
        found = _ended(code) + _faults(folder / "lake", states[-1:])
        bad += [f"resumed after call {point}: {fault}" for fault in found]
        maintained += killing.maintained + resuming.maintained
        shutil.rmtree(folder)
    return {
        "calls_in_a_run": calls, "kills": kinds.total(), "killed_before": dict(kinds), "maintained": maintained,
        "violations": len(bad), "first": [line[:300] for line in bad[:_SHOWN]],
    }  # fmt: skip


def _states(place: Path, engine: Engine) -> list[scenario.Shown]:
    """Return the rows of a lake made at once of the texts before each run, and after the last."""

    def make() -> None:
        for number in range(1, len(scenario.steps()) + 1):
            scenario.made_at_once(place / f"fresh-{number}", engine, scenario.corpus_after(number))

    if _in_a_child(make) != 0:
        raise SystemExit("the lakes to compare with could not be made")
    return [{}, *(scenario.shown(place / f"fresh-{number}") for number in range(1, len(scenario.steps()) + 1))]


def _traced(folder: Path, engine: Engine, before: _Disturbed, mutant: str, *, start: int = 0) -> int | None:
    def work() -> None:
        REUSE_MUTANTS[mutant]()
        scenario.work(folder / "lake", engine, folder / "acks", start=start)

    return trace(work, before, watch=str(folder / "lake"))


def _ended(code: int | None) -> list[str]:
    return [f"a run failed with {code}"] if code else []


def _done(folder: Path) -> int:
    acks = folder / "acks"
    return acks.stat().st_size if acks.exists() else 0


def _faults(root: Path, allowed: list[scenario.Shown]) -> list[str]:
    if not (root / "catalog.sqlite").exists():
        return []
    try:
        return scenario.faults(root) or scenario.differences(scenario.shown(root), allowed)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def _in_a_child(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own, so that no thread of the model is left in this one, and return its code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--often", type=float, default=_OFTEN, help="maintain at this share of the calls on parts")
    parser.add_argument("--near", default="", help="maintain at calls of this kind: open, write, fsync, rename, unlink")
    parser.add_argument("--mutant", choices=REUSE_MUTANTS, default="none")
    options = parser.parse_args()
    if reason := unavailable():
        raise SystemExit(f"skipped: {reason}")
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-reuse-")))
    began = time.perf_counter()
    try:
        engine = scenario.loaded_engine(place / "model")
        figures = kill(options, engine, place)
    finally:
        shutil.rmtree(place)
    times = os.times()
    figures["cpu_seconds"] = round(times.user + times.children_user)
    figures["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps({"mode": "reuse", "mutant": options.mutant, **figures}, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
