"""The scan lock: one run scans, one waits, a third is covered; a killed process frees its lock at once."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from polyseme.flows.server.scan_lock import scan_lock
from tests import processes

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
    got, done = threading.Event(), threading.Event()

    def wait() -> None:
        with scan_lock("corpus", place=tmp_path) as mine:
            assert mine
            got.set()
            done.wait(processes.DEADLINE_SECONDS)

    second = threading.Thread(target=wait)
    with processes.started(*command, stdin=processes.PIPE, stdout=processes.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "True\n"
        try:
            second.start()
            (next_lock,) = tmp_path.glob("*.next")
            processes.wait_until(lambda: is_held(next_lock), "the second waits")
            with scan_lock("corpus", place=tmp_path) as mine:
                assert not mine
            with scan_lock("another", place=tmp_path) as mine:
                assert mine, "other corpora have locks of their own"
            assert not got.is_set()
            first.kill()
            assert got.wait(processes.DEADLINE_SECONDS), "a killed holder frees its lock"
            assert not is_held(next_lock), "while one runs another may wait"
        finally:
            done.set()
            first.kill()
            second.join(processes.DEADLINE_SECONDS)
    with scan_lock("corpus", place=tmp_path) as mine:
        assert mine
