"""The scan lock: one run scans, one waits, a third is covered; a killed process frees its lock at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from polyseme.flows.server.scan_lock import scan_lock

HOLD = """
import sys
from pathlib import Path
from polyseme.flows.server.scan_lock import scan_lock
with scan_lock("corpus", place=Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def is_held(path: Path) -> bool:
    """Ask the kernel, without touching the lock."""
    return path.exists() and f":{path.stat().st_ino} " in Path("/proc/locks").read_text()


def test_of_three_the_first_runs_the_second_waits_and_the_third_is_covered(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "True\n"
    got, done = threading.Event(), threading.Event()

    def wait() -> None:
        with scan_lock("corpus", place=tmp_path) as mine:
            assert mine
            got.set()
            done.wait(60)

    second = threading.Thread(target=wait)
    second.start()
    try:
        (next_lock,) = tmp_path.glob("*.next")
        until = time.monotonic() + 60
        while not is_held(next_lock):
            assert time.monotonic() < until
        with scan_lock("corpus", place=tmp_path) as mine:
            assert not mine
        with scan_lock("another", place=tmp_path) as mine:
            assert mine, "other corpora have locks of their own"
        assert not got.is_set()
        first.kill()
        assert got.wait(60), "a killed holder frees its lock"
        assert not is_held(next_lock), "while one runs another may wait"
    finally:
        done.set()
        first.kill()
        first.communicate()
        second.join(60)
    with scan_lock("corpus", place=tmp_path) as mine:
        assert mine
