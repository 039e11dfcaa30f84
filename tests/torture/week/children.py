"""Children: what is done to the lake, each in a forked process that can really be killed, with a clock of its own.

The parent has imported everything and never used it: it has no threads, and no connection is inherited.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from polyseme.flows.signals.ending import arrived

LONGEST_SECONDS = 120.0
_ENDS_WITHIN = 10.0
"""Seconds in which a child has to end after SIGTERM."""
_COUNTED = ("open", "os.", "sqlite3.", "shutil.", "tempfile.")
_WITH_A_CLOCK = (
    "polyseme.storage.catalog", "polyseme.storage.maintenance.backup", "polyseme.storage.maintenance.quarantine",
    "polyseme.tasks.shards.stages", "tests.torture.week.work",
)  # fmt: skip
Work = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child is stopped: by SIGKILL before its call number `call`, or by a signal after some seconds."""

    call: int = 0
    seconds: float = 0.0
    signal: int = signal.SIGKILL


@dataclass
class Child:
    """A running child. `answer` returns what its work did, None if it was killed."""

    pid: int
    receiving: int
    ending: Ending
    began: float

    def answer(self) -> dict[str, Any] | None:
        """Wait for the end, stopping the child when it is time."""
        reply, asked = b"", None
        while True:
            left = LONGEST_SECONDS - (time.monotonic() - self.began)
            if self.ending.seconds and asked is None:
                left = self.ending.seconds - (time.monotonic() - self.began)
            ready, _, _ = select.select([self.receiving], [], [], max(0.0, left))
            if ready:
                piece = os.read(self.receiving, 1 << 16)
                if not piece:
                    break
                reply += piece
            elif self.ending.seconds and asked is None:
                asked = time.monotonic()
                os.kill(self.pid, self.ending.signal)
            else:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return {"state": "hung"}
        os.close(self.receiving)
        _, status = os.waitpid(self.pid, 0)
        if asked is not None and time.monotonic() - asked > _ENDS_WITHIN:
            return {"state": "hung"}
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return (
                None
                if number in (signal.SIGKILL, signal.SIGTERM)
                else {"state": "crashed", "error": f"signal {number}"}
            )
        if not reply:
            return {"state": "crashed", "error": f"exit code {os.waitstatus_to_exitcode(status)} and no answer"}
        found: dict[str, Any] = json.loads(reply)
        return found


def start(work: Work, *, ending: Ending | None = None, clock: timedelta = timedelta(0)) -> Child:
    """Fork a child that does `work` at a shifted clock and answers with what it returns, or with its error."""
    ending = ending or Ending()
    sys.stdout.flush()
    receiving, sending = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(receiving)
            _shift(clock)
            calls = _count_calls(ending.call)
            try:
                found = work()
            except KeyboardInterrupt:
                found = {"state": "cancelled"}
            except Exception as error:
                # DuckDB makes an error of its own of an interrupt.
                found = {"state": "cancelled" if arrived() else "error", "error": f"{type(error).__name__}: {error}"}
            found["calls"] = calls[0]
            with os.fdopen(sending, "w") as answer:
                json.dump(found, answer)
            code = 0
        finally:
            os._exit(code)
    os.close(sending)
    return Child(pid, receiving, ending, began)


def result(work: Work, **options: Any) -> dict[str, Any] | None:
    """Do `work` in a child and return its answer; None if it was killed."""
    return start(work, **options).answer()


def results(children: Sequence[Child]) -> list[dict[str, Any] | None]:
    return [child.answer() for child in children]


def _count_calls(last: int) -> list[int]:
    """Count the calls that open or change something, and kill this process before number `last`."""
    calls = [0]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_COUNTED):
            calls[0] += 1
            if calls[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    return calls


def _shift(clock: timedelta) -> None:
    """Shift the clock in this process: all that is recorded is of `datetime.now`."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + clock

    for name in _WITH_A_CLOCK:
        vars(importlib.import_module(name))["datetime"] = Shifted
