"""Prefect's temporary server, started so that Ctrl-C at the terminal ends the run and not the server it reports to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL


def start_if_needed() -> None:
    """Start the temporary server unless a standing one is configured. It ends with this process."""
    if not PREFECT_API_URL.value():
        with without_ctrl_c():
            get_client(sync_client=True)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C: a process that is started meanwhile never gets it, this one gets it at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
