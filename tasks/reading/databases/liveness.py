"""A limit on how long a database may be silent that no long query trips: it is asked whether it still answers others.

A query may take hours before its first row, and says nothing meanwhile, as a server does that hangs. Keepalives tell
only whether its machine is there. So another connection is made every minute; if none comes about several times in a
row, the first is shut down, and whoever waits for it gets an error. Knows no SQL.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

EVERY_SECONDS = 60
ATTEMPTS = 3
KEEPALIVE = {"idle": 60, "interval": 15, "count": 4}
"""When the kernel asks whether the other machine is there, and how often in vain."""
_OPTIONS = {"idle": ("TCP_KEEPIDLE", "TCP_KEEPALIVE"), "interval": ("TCP_KEEPINTVL",), "count": ("TCP_KEEPCNT",)}


@contextmanager
def watched(descriptor: int, answers: Callable[[], bool]) -> Iterator[Event]:
    """Shut a connection down once `answers`, which asks on another, is false `ATTEMPTS` times in a row.

    Gives an event, which is set then. `answers` has to have a limit of its own.
    """
    over, silent = Event(), Event()
    # Its own descriptor: the number of the other may be that of something else when it is closed.
    with socket.socket(fileno=os.dup(descriptor)) as line:
        Thread(target=_watch, args=(line, answers, over, silent), name="polyseme-database", daemon=True).start()
        try:
            yield silent
        finally:
            over.set()


def keep_alive(connection: socket.socket) -> None:
    """Let the kernel notice within minutes that the other machine is gone. Does nothing where it cannot."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for setting, names in _OPTIONS.items():
            for name in [name for name in names if hasattr(socket, name)][:1]:
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), KEEPALIVE[setting])


def _watch(line: socket.socket, answers: Callable[[], bool], over: Event, silent: Event) -> None:
    failed = 0
    while not over.wait(EVERY_SECONDS):
        failed = 0 if answers() else failed + 1
        if failed >= ATTEMPTS and not over.is_set():
            silent.set()
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            return
