"""The end by a signal: SIGTERM and SIGHUP raise in the main thread as Ctrl-C does, and which one arrived is remembered.

Committed documents are kept, whatever the moment. What does not end although it is raised is ended by the guardian.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from polyseme.flows.signals import guardian

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_arrived: list[int] = []


class EndedBySignal(KeyboardInterrupt):
    """The signal `number` arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise EndedBySignal in the main thread on SIGINT, SIGTERM and SIGHUP, unless one is ignored, as by nohup.

    Prefect takes SIGTERM over while a flow runs, and sends it again once the flow has ended.
    """
    _arrived.clear()
    before = {}
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        if not (_arrived and guardian.is_running()):
            for number, handler in before.items():
                signal.signal(number, handler)


def arrived() -> int | None:
    """Return the first signal that arrived; None if there was none.

    A library that calls Python from C or Rust may turn the exception into one of its own.
    """
    return _arrived[0] if _arrived else None


def survive(interrupt: KeyboardInterrupt) -> None:
    """Go on in spite of Ctrl-C, as a shell does that stops a query; raise the interrupt if another signal made it."""
    if isinstance(interrupt, EndedBySignal) and interrupt.number != signal.SIGINT:
        raise interrupt
    _arrived.clear()
    guardian.stand_down()


def heard(number: int) -> bool:
    """Record a signal that a handler got; return whether it is the first, which begins the end."""
    _arrived.append(number)
    first = len(_arrived) == 1
    guardian.tell(number, first=first)
    return first


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have `handler` called instead, as in an event loop, which cannot clean up after what a handler raises in it."""
    before = {number: signal.getsignal(number) for number in _numbers()}
    for number in [number for number, handled in before.items() if handled is _end]:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _end(number: int, frame: FrameType | None) -> None:
    # What cleans up after the first is not interrupted by the second: the guardian ends it.
    if heard(number) or not guardian.is_running():
        raise EndedBySignal(number)


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
