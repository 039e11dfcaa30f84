"""Latency from a new file to rows that DuckDB returns, with a real server, `polyseme serve` and `polyseme watch`.

    python -m benchmarks.arrival_latency --files 5

Starts its own server on loopback in a temporary folder, embeds a first file to warm up, then writes one small file
after another and queries the published lake until it is there. The embedded model, words and NSP. In wall seconds,
which include other work on the machine: prints the load, and when the run was due and started.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.flows.server.standing import Standing

TEXT = "The bank of the river was under water by noon. Nobody in the town had seen it so high. The mill stood still.\n"


def main() -> None:
    """Measure `--files` arrivals and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        standing = Standing(Path(folder))
        (standing.folder / "news").mkdir()
        (standing.folder / "polyseme.toml").write_text('[corpus.news]\nsources = ["news"]\n', encoding="utf-8")
        try:
            standing.start_server()
            standing.start_serve()
            standing.start_watch()
            arrive(standing, "warm.txt")
            seconds = [arrive(standing, f"{i}.txt") for i in range(files)]
        finally:
            standing.end()
    print(
        f"{files} files: median {statistics.median(seconds):.1f} s, least {min(seconds):.1f} s, most "
        f"{max(seconds):.1f} s from settled to queryable; load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
    )


def arrive(standing: Standing, name: str) -> float:
    """Write a file and return the seconds from the watcher's event until its rows can be queried."""
    events = standing.log("watch").count("files-settled")
    (standing.folder / "news" / name).write_text(TEXT * 20, encoding="utf-8")
    standing.wait(lambda: standing.log("watch").count("files-settled") > events, "the watcher sends the event")
    settled = time.time()
    standing.wait_for_documents({name})
    seconds = time.time() - settled
    # The newest run is the one that embedded it.
    run = max(standing.runs("embed/on-arrival", "Running", "Completed"), key=lambda r: r["expected_start_time"])
    due, begun = (
        datetime.fromisoformat(run[key]).timestamp() - settled for key in ("expected_start_time", "start_time")
    )
    print(f"{name}: {seconds:5.1f} s (due after {due:.1f}, flow began after {begun:.1f})", flush=True)
    standing.wait(lambda: not standing.flow_run_processes(), "the runs that follow are over")
    return seconds


if __name__ == "__main__":
    main()
