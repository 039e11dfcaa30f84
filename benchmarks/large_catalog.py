"""A lake of a million documents in ten thousand parts of each table: what a commit costs as it grows, and its use.

    python -m benchmarks.large_catalog --folder DIR                               about 15 minutes of CPU
    python -m benchmarks.large_catalog --folder DIR --postgres                    its catalog in a PostgreSQL of its own
    python -m benchmarks.large_catalog --folder DIR --documents 100000 --parts 1000

Real parts through the real commit: each shard has a hundred short documents, is written, committed and tidied as a run
does it (`benchmarks.large_lake`). Tidying takes every part for a large one, which it does not merge: that is how a lake
comes to ten thousand parts. Everything is a process of its own; CPU seconds and peak memory are the system's, and a
server's CPU is not in them. Vectors have four dimensions, so that the catalog is measured and not the data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


def measure(folder: Path, catalog: str | None, count: int, parts: int) -> Iterator[dict[str, Any]]:
    """Make a lake in a folder, if there is none, and yield everything that is measured of it."""
    lake = folder / "lake"
    environment = os.environ | ({"POLYSEME_CATALOG": catalog} if catalog else {})
    if not lake.exists():
        yield from _grown(lake, environment, count, parts)
    for what, words in commands(count).items():
        yield {"what": what, **measured([*words, "--lake", str(lake)], environment, folder / "output")}


def _grown(lake: Path, environment: dict[str, str], count: int, parts: int) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.large_lake", "grow", str(count), "--parts", str(parts)]
    with subprocess.Popen(
        [*command, "--lake", str(lake)], stdout=subprocess.PIPE, text=True, env=environment
    ) as growing:
        assert growing.stdout is not None
        yield from map(json.loads, growing.stdout)
    if growing.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {growing.returncode}.")


def commands(count: int) -> dict[str, list[str]]:
    """Return what is asked of a lake of so many documents, as arguments of Python."""
    middle = f"doc_id = 'file:///corpus/part-{count // 2 // 1000:04d}.jsonl#{count // 2 % 1000}'"
    polyseme, sql = ["-m", "polyseme"], ["-m", "polyseme", "sql"]
    found = {
        "SELECT 1": [*sql, "SELECT 1"],
        "count of documents": [*sql, "SELECT count(*) FROM documents"],
        "a document by its id": [*sql, f"SELECT text FROM documents WHERE {middle}"],
        "sentences of one document": [*sql, f"SELECT text FROM sentences WHERE {middle}"],
        "a rare word": [*sql, "SELECT count(*) FROM words WHERE word_lower = 'w77'"],
        "a sum over all words": [*sql, "SELECT sum(char_end) FROM words"],
        "status": [*polyseme, "status", "--json"],
        "publish": [*polyseme, "publish"],
        "plan, all unchanged": ["-m", "benchmarks.large_lake", "plan", str(count)],
        "a run that changes some and deletes some": ["-m", "benchmarks.large_lake", "revise", str(count)],
        "vacuum, dry run": [*polyseme, "vacuum", "--dry-run"],
        "compact": [*polyseme, "compact"],
        "compact, again": [*polyseme, "compact"],
        "vacuum": [*polyseme, "vacuum", "--grace-hours", "0"],
    }
    again = ("SELECT 1", "count of documents", "a document by its id", "a rare word", "status", "publish")
    return found | {f"{what}, compacted": found[what] for what in again}


def measured(command: list[str], environment: dict[str, str], output: Path) -> dict[str, float]:
    """Run a Python command; return its CPU and wall seconds and its peak memory. Raises SystemExit if it failed."""
    with output.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.read_text()[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "peak_mb": round(usage.ru_maxrss / 1024)}


@contextmanager
def _catalog(*, postgres: bool) -> Iterator[str | None]:
    if not postgres:
        yield None
        return
    from tests import servers

    with servers.postgres() as url:
        yield url


def main() -> None:
    """Print one line of JSON for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=10_000, help="of each of the four tables")
    parser.add_argument("--postgres", action="store_true", help="start a PostgreSQL server for the catalog")
    parser.add_argument("--folder", type=Path, help="for the lake, some 500 MB, which stays; temporary by default")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polyseme-")))
        folder.mkdir(parents=True, exist_ok=True)
        url = stack.enter_context(_catalog(postgres=options.postgres))
        for found in measure(folder, url, options.documents, options.parts):
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
