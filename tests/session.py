"""What holds for a whole session of tests: no process outlives it, Ctrl-C reaches children, its end says what it cost.

A pytest plugin; knows nothing of Polyseme.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from tests import processes

_DESELECTED = pytest.StashKey[Counter[str]]()
_STATUS = pytest.StashKey[int]()
EXIT_AT_ONCE = pytest.StashKey[bool]()
"""Set by a fixture that knows of a thread which would never let Python exit."""


def pytest_configure(config: pytest.Config) -> None:
    """Let children have the default Ctrl-C even if this process was started with it ignored (`nohup make test &`).

    What is ignored stays ignored in every child, and Python then raises no KeyboardInterrupt; what is caught becomes
    the default at exec. This process goes on ignoring it.
    """
    config.stash[_DESELECTED] = Counter()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail if anything that the session started still runs at its end. Kill it then, and if pytest itself is killed."""
    mark, before = uuid4().hex, os.environ.get(processes.MARK, "")
    with processes.outlived(mark):
        os.environ[processes.MARK] = f"{before} {mark}"
        yield
        os.environ[processes.MARK] = before
        left = processes.left(mark)
    if left:
        pytest.fail(f"Processes outlived the tests that started them and were killed: {', '.join(left)}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_DESELECTED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist left out, which is what each of them did."""
    if (output := getattr(node, "workeroutput", None)) is not None:  # none of one that crashed
        node.config.stash[_DESELECTED] = Counter(output["left_out"])


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(EXIT_AT_ONCE, False):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_STATUS])


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        named = re.findall(r"\w+", item.config.option.markexpr)
        marks = {mark.name for mark in item.iter_markers()}
        item.config.stash[_DESELECTED][next((name for name in named if name in marks), "")] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # pytest's own -rs has a line for every test that a fixture skips: two hundred without PostgreSQL.
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")
    left_out = {name: count for name, count in config.stash[_DESELECTED].most_common() if name}
    if left_out:
        marks = ", ".join(f"{count} {name}" for name, count in left_out.items())
        terminalreporter.write_line(f"LEFT OUT [{sum(left_out.values())}] by mark: {marks}; make test-all runs all")
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = [used.ru_utime + used.ru_stime for used in (own, children)]
    terminalreporter.write_line(f"CPU seconds: {sum(seconds):.0f}, of which {seconds[1]:.0f} in child processes")
