"""Progress for people: a bar on a terminal, a line every few seconds elsewhere. Writes to stderr only.

Draws what it is given: a line of text and the share that is done, which may not be known yet.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from polyseme.flows.display.terminal import escaped, note
from polyseme.flows.runs.progress import Listener, listening

_LINE_EVERY_SECONDS = 15.0


@contextmanager
def shown(what: str, *, at_first: str = "starting") -> Iterator[None]:
    """Show the progress of runs in this process while inside; `what` begins each line, such as `embedding`."""
    with _bar(what, at_first) as draw, listening(draw):
        yield


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how much of `total`, in bytes, is done; yields what takes the bytes of each step."""
    done = 0
    with _bar(what, what) as draw:

        def advance(more: int) -> None:
            nonlocal done
            done += more
            draw(f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB", done / total if total else 1.0)

        yield advance


@contextmanager
def _bar(what: str, at_first: str) -> Iterator[Listener]:
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
    on_terminal = sys.stderr.isatty()
    due = time.monotonic() + _LINE_EVERY_SECONDS
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True, disable=not on_terminal
    ) as bar:
        task = bar.add_task(at_first, total=None)

        def draw(text: str, share: float | None) -> None:
            nonlocal due
            if on_terminal:
                bar.update(
                    task,
                    total=None if share is None else 1.0,
                    completed=share or 0.0,
                    description=escape(escaped(text)),
                )
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINE_EVERY_SECONDS
                percent = "" if share is None else f"{share:.0%}, "
                note(f"{what}: {percent}{text}")

        yield draw
