"""Processes of tests: commands and servers, each of which ends with its test, whatever happens to the test.

A process gets a group of its own and a mark in its environment, which everything it starts inherits. At the end of its
`with` the group is asked to end; what still carries the mark after that is killed. `outlived` does the same for a whole
session whose pytest was killed: a watcher process, started with the session, notices that its standard input closed.
The parent death signal of Linux would not do: it reaches children and no grandchildren, and comes when the thread that
forked ends. Marks are read in /proc; on other systems only groups are ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

MARK = "TEST_PROCESSES"
"""The environment variable: the marks of all that a process belongs to, the session's first."""
DEADLINE_SECONDS = 600.0
"""How long anything may take before it is taken for hung: a busy machine may need ten times what a free one does."""
_ENDING_SECONDS = 60.0

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
Process, Completed = subprocess.Popen[Any], subprocess.CompletedProcess[Any]
TimeoutExpired = subprocess.TimeoutExpired


@contextmanager
def started(*command: str | Path, how: signal.Signals = signal.SIGTERM, **options: Any) -> Iterator[Process]:
    """Start a command; end it and everything it started on leaving, first with the signal `how`, then with SIGKILL.

    Options are `subprocess.Popen`'s; pipes carry text unless `text=False`.
    """
    mark = uuid4().hex
    environment = dict(options.pop("env", None) or os.environ)
    environment[MARK] = f"{os.environ.get(MARK, '')} {mark}"
    process = subprocess.Popen(
        [str(word) for word in command], env=environment, start_new_session=True, **{"text": True} | options
    )
    try:
        yield process
    finally:
        _end(process, mark, how)


def run(*command: str | Path, seconds: float = DEADLINE_SECONDS, check: bool = True, **options: Any) -> Completed:
    """Run a command to its end and return what it wrote. Fails if it takes too long, and on a failure with `check`."""
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{command} did not end within {seconds:g} s. It wrote: {late.stderr!r}") from late
    assert not check or process.returncode == 0, f"{command} ended with {process.returncode}: {out}{err}"
    return Completed(process.args, process.returncode, out, err)


def run_together(
    work: Callable[..., object], arguments: Iterable[tuple[object, ...]], *, seconds: float = DEADLINE_SECONDS
) -> list[int | None]:
    """Call `work` once with each tuple, at once and in a process each; return their exit codes, None if one hung."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=given, daemon=True) for given in arguments]
    until = time.monotonic() + seconds
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))
        return [worker.exitcode for worker in workers]
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
                worker.join()


def signalled(script: Path, *arguments: str | Path, how: signal.Signals, count: int) -> tuple[int, str]:
    """Send `how` to a Python script once it has printed "under way"; return its exit code and what it wrote to stderr.

    Fails if it does not have `count` processes then, itself included, or if one is left in the end.
    """
    mark = uuid4().hex
    environment = {**os.environ, "SIGNALLED": mark, "PYTHONPATH": os.pathsep.join(sys.path)}
    with started(sys.executable, script, *arguments, env=environment, stdout=PIPE, stderr=PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "under way\n"
        assert len(marked(mark)) == count
        os.killpg(running.pid, how)
        _, errors = running.communicate(timeout=DEADLINE_SECONDS)
        assert left(mark) == []
    return running.returncode, errors


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Return what `condition` returns once that is true; fail if it is not within the deadline."""
    until, pause = time.monotonic() + seconds, 0.02
    while not (found := condition()):
        assert time.monotonic() < until, f"Not within {seconds:g} s: {what}."
        time.sleep(pause)
        pause = min(0.5, 1.5 * pause)
    return found


def cpu_seconds(process: Process) -> float:
    """Return the CPU time a process has used so far, with its threads (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: Process) -> int:
    """Return the memory that a process has now (Linux); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return 0


def children(process: Process) -> list[int]:
    """Return the ids of the processes that a process has started and that still run (Linux)."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(number) for task in tasks for number in task.read_text().split()]


def is_alive(number: int) -> bool:
    """Return whether a process runs (Linux)."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of the processes that carry a mark, by process id; none on systems without /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in _environment(entry):
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found[int(entry.name)] = b" ".join(words).decode(errors="replace")
    return found


def _environment(entry: Path) -> bytes:
    """Return the environment of a process, or raise OSError if it has ended."""
    for _ in range(20):
        if found := (entry / "environ").read_bytes():
            return found
        # Empty while it is about to execute another program; threads of the kernel and zombies have no program.
        (entry / "exe").readlink()
        time.sleep(0.01)
    return b""


def left(mark: str) -> list[str]:
    """Return the command lines of processes with a mark that do not end within a minute."""
    until = time.monotonic() + _ENDING_SECONDS
    while True:
        # Python's own resource tracker ends with the process that it works for.
        found = [words for words in marked(mark).values() if "multiprocessing.resource_tracker" not in words]
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


def kill_marked(mark: str) -> dict[int, str]:
    """Kill every process with a mark, and what those start meanwhile; return their command lines."""
    killed: dict[int, str] = {}
    while found := marked(mark):
        killed |= found
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return killed


@contextmanager
def outlived(mark: str) -> Iterator[None]:
    """Have what carries the mark killed on leaving, and if this process is killed before that."""
    # Not among what it ends: it starts before the mark is set. In a session of its own no Ctrl-C reaches it.
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.communicate()


def _end(process: Process, mark: str, how: signal.Signals) -> None:
    """Ask the group to end, wait, and kill what is left. Its leader is reaped last: until then its id is its own."""
    try:
        _signal_group(process, how)
        until = time.monotonic() + _ENDING_SECONDS
        while not _has_ended(process) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
        kill_marked(mark)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _has_ended(process: Process) -> bool:
    """Look without reaping."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(process: Process, how: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)


if __name__ == "__main__":
    sys.stdin.read()
    kill_marked(sys.argv[1])
