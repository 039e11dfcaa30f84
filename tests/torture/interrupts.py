"""Interrupts: `polyseme embed` gets SIGINT, SIGTERM and SIGHUP in turn, at moments spread over a whole run.

    python -m tests.torture.interrupts [--count 30]

Each time it must end within 10 s with the exit code of the signal, leave no process, and a lake without faults. Prints
figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.verification import verify
from tests import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_SECONDS = 10.0
_DOCUMENTS = 8
_SHOWN = 5
TEXT = "The river rose again that night, and the town slept through it. " * 40


def main(count: int) -> None:
    """Run it and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        records = (json.dumps({"id": number, "text": f"{number}. {TEXT}"}) for number in range(_DOCUMENTS))
        (place / "in.jsonl").write_text("\n".join(records))
        began = time.monotonic()
        code, _, faults = embed(place, "whole", at=None, how=signal.SIGINT)
        whole = time.monotonic() - began
        violations = [f"not interrupted: {fault}" for fault in faults] + ["not interrupted: failed"] * bool(code)
        slowest = 0.0
        for number in range(count):
            at = whole * number / count
            how = SIGNALS[number % len(SIGNALS)]
            code, seconds, faults = embed(place, f"lake-{number}", at=at, how=how)
            slowest = max(slowest, seconds)
            # Before its handlers are set, the kernel ends the process: a shell sees the same code.
            if code not in (128 + how, -how, 0):
                faults.append(f"exit code {code}")
            violations += [f"{how.name} after {at:.1f} s of {whole:.1f} s: {fault}" for fault in faults]
    figures = {"moments": count, "slowest_seconds": round(slowest, 1), "violations": len(violations)}
    print(json.dumps(figures | {"first": violations[:_SHOWN]}))
    sys.exit(bool(violations))


def embed(place: Path, lake: str, *, at: float | None, how: signal.Signals) -> tuple[int, float, list[str]]:
    """Run the command, with a signal after `at` seconds; return its exit code, how long it took to end, and faults."""
    mark, faults = uuid4().hex, list[str]()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = mine | {"INTERRUPTED": mark, "PREFECT_HOME": str(place / "prefect")}
    # A session started in the background of a script inherits SIGINT ignored.
    command = ["env", "--default-signal", sys.executable, "-m", "polyseme", "embed", place / "in.jsonl", "--lake"]
    quiet = {"stdout": processes.DEVNULL, "stderr": processes.DEVNULL}
    with processes.started(*command, place / lake, "--no-nsp", env=environment, **quiet) as running:
        if at is None:
            return running.wait(processes.DEADLINE_SECONDS), 0.0, _faults(place / lake)
        # Python itself may exit with 1 if it is interrupted before the command begins.
        processes.wait_until(lambda: processes.children(running), "the command has begun")
        time.sleep(at)
        running.send_signal(how)
        began = time.monotonic()
        try:
            code = running.wait(LONGEST_SECONDS)
        except processes.TimeoutExpired:
            code = 128 + how
            faults.append(f"not ended within {LONGEST_SECONDS:g} s")
        seconds = time.monotonic() - began
        faults += [f"left running: {command}" for command in processes.left(mark)]
    return code, seconds, faults + _faults(place / lake)


def _faults(lake: Path) -> list[str]:
    """Return what `verify` finds in a lake, if there is one."""
    if not (lake / "catalog.sqlite").exists():
        return []
    with Catalog.open(Lake(lake)) as catalog:
        found = verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC))
    return [str(finding) for finding in found.findings]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    main(parser.parse_args().count)
