"""Progress for people: a bar on a terminal, a line every few seconds elsewhere. Writes to stderr only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from polyseme.flows.runs.progress import Progress, describe, listening

_LINE_EVERY_SECONDS = 15.0


@contextmanager
def shown() -> Iterator[None]:
    """Show the progress of runs in this process while inside."""
    if sys.stderr.isatty():
        with _bar() as update, listening(update):
            yield
    else:
        with listening(_Lines()):
            yield


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of `total`, in bytes, is done; the caller says how much more at every step."""
    done, lines = 0, _Every()
    with Bar(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        task = bar.add_task(what, total=total)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            bar.advance(task, more)
            if bar.disable and lines.due():
                print(f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", file=sys.stderr, flush=True)  # noqa: T201

        yield advance


class _Every:
    """Due at most every `_LINE_EVERY_SECONDS`."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _LINE_EVERY_SECONDS

    def due(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _LINE_EVERY_SECONDS
        return True


class _Lines:
    """A line now and then."""

    def __init__(self) -> None:
        self._every = _Every()

    def __call__(self, progress: Progress) -> None:
        if self._every.due():
            print(f"embedding: {describe(progress)}", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def _bar() -> Iterator[_Drawn]:
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
    with Bar(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        yield _Drawn(bar)


class _Drawn:
    """A bar that starts to move once the plan is known."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def __call__(self, progress: Progress) -> None:
        fraction = progress.fraction
        self._bar.update(
            self._task,
            total=None if fraction is None else 100.0,
            completed=100.0 * (fraction or 0.0),
            description=describe(progress),
        )
