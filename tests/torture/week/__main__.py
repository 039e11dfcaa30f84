"""A week in small: random edits, kills, unmounts, odd names, clock steps; the lake equals the folders or says why not.

    python -m tests.torture.week [--runs 1000] [--seed N] [--served 10] [--mutant forgets|no-guard|stale|keeps|each]

Most runs are scan, plan, encode and commit as the flow makes them, in forked children that are killed; `--served` of
them are `polyseme embed`, and between two of those a standing server is killed and started again. After each run the
lake is compared with a model of the folders. Prints figures as JSON; exits with 1 if there are violations.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from tests import processes
from tests.conftest import FOREIGN, save_cased_tokenizer, save_random
from tests.torture.week.mutants import MUTANTS
from tests.torture.week.simulation import simulate
from tests.torture.week.work import LEAN
from tests.torture.week.world import clear

_SHOWN = 3
_MOST = 5


def main() -> None:
    """Simulate and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--served", type=int, help="runs that are real commands; default: every hundredth")
    parser.add_argument("--mutant", choices=(*MUTANTS, "each"), default="none")
    options = parser.parse_args()
    if options.served is None:
        options.served = options.runs // 100
    logging.disable(logging.WARNING)  # of folders that cannot be listed, in every run
    mark = uuid4().hex
    os.environ[processes.MARK] = f"{os.environ.get(processes.MARK, '')} {mark}"
    # Prefect's servers end with this process, however it ends.
    with processes.outlived(mark), tempfile.TemporaryDirectory(prefix="polyseme-model-") as folder:
        engines = _engines(Path(folder))
        if options.mutant == "each":
            figures = {name: _in_a_child(engines, options, name) for name in MUTANTS if name != "none"}
        else:
            figures = run(engines, options, options.mutant)
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures.get("violations", 1) else 0)


def run(engines: Sequence[Engine], options: argparse.Namespace, mutant: str) -> dict[str, Any]:
    """Simulate and return the figures. A mutant ends at its first violation."""
    place, began = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-week-"))), time.perf_counter()
    MUTANTS[mutant]()
    most = _MOST if mutant == "none" else 1
    week = simulate(place, engines, runs=options.runs, seed=options.seed, commands=options.served, most=most)
    clear(week.world)
    return {
        "mode": "week", "mutant": mutant, "seed": options.seed, **dict(sorted(week.figures.items())),
        "violations": len(week.violations), "first": week.violations[:_SHOWN],
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def _in_a_child(engines: Sequence[Engine], options: argparse.Namespace, mutant: str) -> int:
    """Return the violations of a mutant, which stays in a process of its own."""
    context = multiprocessing.get_context("fork")
    found: Any = context.SimpleQueue()
    child = context.Process(target=lambda: found.put(run(engines, options, mutant)["violations"]))
    child.start()
    child.join()
    violations: int = found.get()
    return violations


def _engines(folder: Path) -> list[Engine]:
    """Return two encodings of a tiny random model; loaded in each child, so that no thread is forked."""
    save_random(folder, "BertForPreTraining", FOREIGN)
    save_cased_tokenizer(folder)
    engines = [Engine(EngineConfig(model=str(folder), device="cpu", layers=layers)) for layers in ("last", "last4")]
    for engine in engines:
        engine.check(LEAN)
        engine.spec  # noqa: B018
    return engines


if __name__ == "__main__":
    main()
