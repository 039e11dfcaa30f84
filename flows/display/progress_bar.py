"""Progress for people: a bar on a terminal, a line every few seconds elsewhere. Writes to stderr only.

Draws what it is given: a line of text and the share that is done, which may not be known yet.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from polyseme.flows.display.terminal import escaped, note
from polyseme.flows.runs.progress import Listener, listening, refresh

_LINE_EVERY_SECONDS = 15.0
_REFRESH_SECONDS = 1.0


@contextmanager
def shown(what: str, *, at_first: str = "starting") -> Iterator[None]:
    """Show the progress of runs in this process while inside; `what` begins each line, such as `embedding`."""
    with _bar(what, at_first) as draw, listening(draw), _refreshing():
        yield


@contextmanager
def _refreshing() -> Iterator[None]:
    """Have the state of runs drawn every second, also while they say nothing."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(_REFRESH_SECONDS):
            refresh()

    thread = threading.Thread(target=tick, name="polyseme-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
def followed(what: str, at_first: str, doing: Callable[[], tuple[str, float] | None]) -> Iterator[Callable[[], None]]:
    """Show what is being done, as `doing` tells it with the share; yields what is to be called now and then."""
    with _bar(what, at_first) as draw:

        def tick() -> None:
            found = doing()
            if found is not None:
                draw(*found)

        yield tick


@contextmanager
def _bar(what: str, at_first: str) -> Iterator[Listener]:
    columns = (
        BarColumn(bar_width=12),
        TextColumn("{task.fields[percent]:>4}"),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    on_terminal = sys.stderr.isatty()
    due = time.monotonic() + _LINE_EVERY_SECONDS
    with Progress(*columns, console=Console(stderr=True), expand=True, transient=True, disable=not on_terminal) as bar:
        task = bar.add_task(at_first, total=None, percent="")

        def draw(text: str, share: float | None) -> None:
            nonlocal due
            if on_terminal:
                bar.update(
                    task,
                    total=None if share is None else 1.0,
                    completed=share or 0.0,
                    percent="" if share is None else f"{share:.0%}",
                    description=escape(escaped(text)),
                )
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINE_EVERY_SECONDS
                percent = "" if share is None else f"{share:.0%}, "
                note(f"{what}: {percent}{text}")

        yield draw
