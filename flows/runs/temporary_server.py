"""Prefect's temporary server: Ctrl-C at the terminal does not end it before the run, and it answers only this process.

It listens on the loopback interface, where every user of the machine can reach it, so it asks for a password that is
drawn for it.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import prefect.context
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_API_AUTH_STRING


def start_if_needed() -> None:
    """Start the temporary server unless a standing one is configured. It ends with this process."""
    if PREFECT_API_URL.value():
        return
    if not PREFECT_SERVER_API_AUTH_STRING.value():
        _require_password(f"polyseme:{secrets.token_urlsafe(32)}")
    with without_ctrl_c():
        get_client(sync_client=True)


def _require_password(password: str) -> None:
    """Give the server to be started, this process and those that it starts one password, by their environment."""
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = os.environ["PREFECT_API_AUTH_STRING"] = password
    # Settings were read when Prefect was imported, and are those of every thread that has none of its own.
    prefect.context.GLOBAL_SETTINGS_CONTEXT = prefect.context.root_settings_context()


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C: a process that is started meanwhile never gets it, this one gets it at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
