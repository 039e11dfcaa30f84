"""Progress of a training run for people: a bar on a terminal, a line every few seconds elsewhere. Writes to stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from polyseme.tasks.training.checkpoints import StepLog
from polyseme.tasks.training.trainer import TrainingConfig

Monitor = Callable[[StepLog], None]
_LINE_EVERY_SECONDS = 15.0
_SMOOTHED_OVER = 50
_LISTENERS: list[Callable[[str, float], None]] = []


@contextmanager
def shown() -> Iterator[None]:
    """Show what training runs in this process report while inside."""
    bar = Progress(
        BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("preparing the text", total=1.0)
        line = _Lines()

        def draw(text: str, share: float) -> None:
            bar.update(task, description=text, completed=share)
            if bar.disable:
                line(text, share)

        _LISTENERS.append(draw)
        try:
            yield
        finally:
            _LISTENERS.remove(draw)


def reporter(config: TrainingConfig) -> Monitor:
    """Return what a trainer calls after every step."""
    recent: deque[StepLog] = deque(maxlen=_SMOOTHED_OVER)

    def report(log: StepLog) -> None:
        recent.append(log)
        share = config.share_done(log.step, log.seconds)
        for listener in tuple(_LISTENERS):
            listener(describe(recent, share), share)

    return report


def appraising() -> Callable[[int], None]:
    """Return what is called with the tokens of every batch while the finished model is measured."""
    read = 0

    def report(tokens: int) -> None:
        nonlocal read
        read += tokens
        for listener in tuple(_LISTENERS):
            listener(f"measuring the model for its card, {read:,} tokens read", 1.0)

    return report


def describe(recent: deque[StepLog], share: float) -> str:
    """Say in a line how a run gets on, from its last steps and the share of its budget that is spent."""
    mlm, nsp = (sum(getattr(log, name) for log in recent) / len(recent) for name in ("mlm", "nsp"))
    last, spent = recent[-1], recent[-1].seconds - recent[0].seconds
    rate = f", {sum(log.tokens for log in list(recent)[1:]) / spent:,.0f} tokens/s" if spent else ""
    left = last.seconds * (1 - share) / share if share else 0.0
    return f"step {last.step:,}, MLM loss {mlm:.2f}, NSP loss {nsp:.3f}{rate}, about {_time(left)} left"


def _time(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"


class _Lines:
    """A line at most every `_LINE_EVERY_SECONDS`."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _LINE_EVERY_SECONDS

    def __call__(self, text: str, share: float) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_SECONDS
            print(f"training: {share:.0%}, {text}", file=sys.stderr, flush=True)  # noqa: T201
