"""The guardian: what does not end on a signal is ended, with the exit code of the signal and everything it started."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests import processes

HEAD = """\
import os, re, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from polyseme.flows.signals import guardian
from polyseme.flows.signals.ending import EndedBySignal, arrived, ended_by_signals, survive

guardian.start(grace=float(sys.argv[1]))
# Ignores what ends it, as a server does that is blocked.
ignores = "import signal, time; [signal.signal(n, 1) for n in (1, 2, 15)]; print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignores], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()

def ready():
    print("under way", flush=True)

def end(child):
    child.kill()
    child.wait()
"""
END = """
except EndedBySignal as by:
    code = by.number
sys.exit(128 + code)
"""
HANGS = {
    "exit waits for a thread of a pool": "ThreadPoolExecutor(1).submit(time.sleep, 600)\nready()\ntime.sleep(600)",
    "exit waits for a read": "threading.Thread(target=os.read, args=(os.pipe()[0], 1)).start()\nready()\ntime.sleep(9)",
    "the exception is swallowed": "ready()\nwhile True:\n    try: time.sleep(600)\n    except BaseException: 0",
    "another handler took it over": "signal.signal(15, lambda *_: None)\nready()\nwhile True:\n    time.sleep(600)",
}
HOLDS_THE_LOCK = "ready()\nthreading.Thread(target=re.match, args=('(a+)+$', 'a' * 60 + 'b')).start()\ntime.sleep(600)"


def signalled(
    body: str, tmp_path: Path, *, how: signal.Signals, grace: float = 0.5, again: float | None = None
) -> tuple[int, str]:
    """Run a guarded script, send it a signal once under way; return its exit code and what was written to stderr.

    Fails if it does not end within 10 s, or if one of its processes is left.
    """
    script, mark = tmp_path / "script.py", uuid4().hex
    indented = "\n".join(f"        {line}" for line in body.splitlines())
    script.write_text(f"{HEAD}\ntry:\n    with ended_by_signals():\n{indented}{END}")
    environment = {**os.environ, "GUARDED": mark, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["env", "--default-signal", sys.executable, script, str(grace)]
    with processes.started(*command, env=environment, stdout=processes.PIPE, stderr=processes.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "under way\n"
        time.sleep(0.2)  # for the endless expression to begin
        running.send_signal(how)
        if again is not None:
            time.sleep(again)
            running.send_signal(how)
        _, errors = running.communicate(timeout=10)
        assert processes.left(mark) == []
    return running.returncode, errors


@pytest.mark.parametrize(
    ("hang", "how"), list(zip(HANGS, [signal.SIGINT, signal.SIGHUP, signal.SIGINT, signal.SIGTERM], strict=True))
)
def test_what_hangs_is_ended_with_the_code_of_its_signal_and_leaves_no_process(
    hang: str, how: signal.Signals, tmp_path: Path
) -> None:
    code, said = signalled(HANGS[hang], tmp_path, how=how)
    assert code == 128 + how
    assert f"Ended by force after {how.name}" in said
    assert "Traceback" not in said


def test_a_thread_that_holds_the_interpreters_lock_for_ever_is_ended_by_the_kernel(tmp_path: Path) -> None:
    """No code of the process runs any more, not even what would give it another exit code."""
    code, said = signalled(HOLDS_THE_LOCK, tmp_path, how=signal.SIGTERM)
    assert code == -signal.SIGKILL
    assert "Ended by force after SIGTERM" in said


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    hang = HANGS["exit waits for a read"]
    assert signalled(hang, tmp_path, how=signal.SIGINT, grace=60, again=1)[0] == 128 + signal.SIGINT


def test_ctrl_c_that_a_wrapper_sends_on_is_one_ctrl_c(tmp_path: Path) -> None:
    slow = "try:\n    ready()\n    time.sleep(600)\nfinally:\n    time.sleep(0.5)\n    end(child)"
    code, said = signalled(slow, tmp_path, how=signal.SIGINT, grace=60, again=0.05)
    assert (code, said) == (128 + signal.SIGINT, "")


def test_ctrl_c_that_python_hears_late_is_one_ctrl_c(tmp_path: Path) -> None:
    """As while it imports PyTorch: one call into C runs on, and the handler after it."""
    late = "try:\n    ready()\n    sum(range(10**8))\n    time.sleep(600)\nfinally:\n    time.sleep(1)\n    end(child)"
    code, said = signalled(late, tmp_path, how=signal.SIGINT, grace=60)
    assert (code, said) == (128 + signal.SIGINT, "")


def test_what_ends_by_itself_is_left_to_its_own_end(tmp_path: Path) -> None:
    clean = "try:\n    ready()\n    time.sleep(600)\nfinally:\n    end(child)"
    code, said = signalled(clean, tmp_path, how=signal.SIGHUP, grace=60)
    assert (code, said) == (128 + signal.SIGHUP, "")


def test_a_command_that_goes_on_after_ctrl_c_is_not_ended(tmp_path: Path) -> None:
    goes_on = (
        "try:\n    ready()\n    time.sleep(600)\nexcept KeyboardInterrupt as interrupt:\n    survive(interrupt)\n"
        "time.sleep(1)\nassert arrived() is None\nend(child)\ncode = 1"
    )
    code, said = signalled(goes_on, tmp_path, how=signal.SIGINT)
    assert (code, said) == (129, "")


def test_a_signal_to_a_forked_child_is_not_the_commands(tmp_path: Path) -> None:
    forks = (
        "forked = os.fork()\nif not forked:\n    time.sleep(600)\ntime.sleep(0.2)\nos.kill(forked, signal.SIGTERM)\n"
        "os.waitpid(forked, 0)\ntime.sleep(1)\ntry:\n    ready()\n    time.sleep(600)\nfinally:\n    end(child)"
    )
    code, said = signalled(forks, tmp_path, how=signal.SIGHUP, grace=0.5)
    assert code == 128 + signal.SIGHUP
    assert "Ended by force" not in said


def test_a_killed_command_leaves_no_process(tmp_path: Path) -> None:
    assert signalled("ready()\ntime.sleep(600)", tmp_path, how=signal.SIGKILL)[0] == -signal.SIGKILL
