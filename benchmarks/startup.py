"""What a command costs before it does anything: CPU seconds of its process and its children, and what it imported.

    python -m benchmarks.startup [SOURCE ...] [--repeat 3] [--json FILE]

Over a folder of 100 short documents, or SOURCE. Every figure is the median of processes of their own, as the system
counts them when they end, Prefect's temporary server included; its database is made before. `--tree` measures the
commands of another checkout over the same documents.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DOCUMENTS = 100
HEAVY = ("prefect", "torch", "transformers", "duckdb", "sqlalchemy")
_ROOT = Path(__file__).resolve().parents[1]
_PROBE = """
import atexit, json, os, resource, sys, time
began = time.perf_counter()
def tell():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    loaded = [name for name in os.environ["STARTUP_HEAVY"].split() if name in sys.modules]
    figures = [*(one.ru_utime + one.ru_stime for one in used), time.perf_counter() - began, loaded]
    open(os.environ["STARTUP_FIGURES"], "w").write(json.dumps(figures))
atexit.register(tell)
from polyseme.flows.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians for one command: CPU seconds of the process and of its children, elapsed seconds, modules it imported."""

    what: str
    process: float
    children: float
    elapsed: float
    loaded: list[str]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--model", default="polyseme-mini")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tree", type=Path, default=_ROOT)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options.sources, options.model, options.repeat, options.tree, Path(folder))
    print(f"{'command':24} {'process':>8} {'children':>8} {'elapsed':>8}  imported")
    for one in measured:
        print(f"{one.what:24} {one.process:8.2f} {one.children:8.2f} {one.elapsed:8.2f}  {' '.join(one.loaded)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=1) + "\n")


def measure(sources: Sequence[str], model: str, repeat: int, tree: Path, folder: Path) -> list[Figures]:
    """Return the figures of every command over `sources`, or over documents that are made in `folder`."""
    corpus, lake = folder / "corpus", folder / "lake"
    corpus.mkdir()
    for number in range(DOCUMENTS):
        (corpus / f"{number}.txt").write_text(f"The river left its bank in {1900 + number}. The fields were dry again.")
    embed = ["embed", *(sources or [str(corpus)]), "--lake", str(lake), "--model", model]

    def run(
        what: str, words: Sequence[str], before: Callable[[int], object] = lambda number: None, code: int = 0
    ) -> Figures:
        found = []
        for number in range(repeat):
            before(number)
            found.append(_once(words, tree, folder, code))
        process, children, elapsed = (statistics.median(column) for column in list(zip(*found, strict=True))[:3])
        return Figures(what, process, children, elapsed, found[0][3])

    def change(number: int) -> None:
        (corpus / "7.txt").write_text(f"The river left its bank {number} times.")

    _once(embed, tree, folder)
    measured = [
        run("--help", ["--help"]),
        run("status", ["status", "--lake", str(lake)]),
        run("a source that is not", ["embed", str(folder / "nosuch"), "--lake", str(lake)], code=2),
        run("nothing to do", embed),
    ]
    return measured if sources else [*measured, run(f"one of {DOCUMENTS} changed", embed, change)]


def _once(words: Sequence[str], tree: Path, folder: Path, code: int = 0) -> tuple[float, float, float, list[str]]:
    """Run a command, which has to end with `code`, and return what it said of itself."""
    figures = folder / "figures.json"
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "POLYSEME_"))}
    more = {"PYTHONPATH": str(tree), "PREFECT_HOME": str(folder / "prefect"), "STARTUP_FIGURES": str(figures)}
    more["STARTUP_HEAVY"] = " ".join(HEAVY)
    command = [sys.executable, "-c", _PROBE, *words]
    done = subprocess.run(
        command, check=False, env=mine | more, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if done.returncode != code:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    process, children, elapsed, loaded = json.loads(figures.read_text())
    return process, children, elapsed, loaded


if __name__ == "__main__":
    main()
