"""Prefect's temporary server: a process beside the runs of this one, which ends with it.

It is started directly, so that this process imports only Prefect's client, and does so while the server starts. Ctrl-C
at the terminal does not end it before the run. It listens on the loopback interface, where every user of the machine
can reach it, so it asks for a password that is drawn for it, on a port that was this process's before it began.
"""

from __future__ import annotations

import atexit
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from polyseme.flows.runs.progress import phase
from polyseme.flows.settings import has_standing_server
from polyseme.storage.errors import PolysemeError

_ANNOUNCED_SECONDS = 1.0
_ENDING_SECONDS = 5.0
_LINES, _MOST_BYTES = 4, 20_000
_AUTHORIZATION = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
_SERVER = {
    "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
}  # fmt: skip
"""As Prefect starts one itself; its console is a file, which is read if it dies."""
_NEWER_DATABASE = "Can't locate revision"
"""What Alembic says of a database that a newer Prefect has migrated."""


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"


_running: list[_Server] = []


def start_if_needed(meanwhile: Callable[[], object] = lambda: None) -> None:
    """Start the temporary server unless a standing one is configured, call `meanwhile`, and wait until it answers.

    It ends with this process. `meanwhile` may import Prefect. Raises PolysemeError if the server ends instead; called
    again, this starts another.
    """
    if _running or is_standing():
        meanwhile()
        return
    with without_ctrl_c():
        server = _started()
        _running.append(server)
    atexit.register(stop)
    _name_to_prefect(server)
    meanwhile()
    try:
        _wait(server)
    except PolysemeError:
        stop()  # the next run of this process starts another
        raise


def is_running() -> bool:
    """Return whether the server that Prefect's settings name is the temporary one of this process."""
    return bool(_running)


def is_standing() -> bool:
    """Return whether a standing server is configured, which is not the temporary one of this process."""
    return not _running and has_standing_server()


def stop() -> None:
    """End the temporary server, if there is one."""
    while _running:
        server = _running.pop()
        server.process.terminate()
        try:
            server.process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
        server.log.close()
        os.environ.pop("PREFECT_API_URL", None)
        _refresh_settings()


@contextmanager
def in_use(on_death: Callable[[PolysemeError], object]) -> Iterator[None]:
    """Run flows inside: without heartbeats if the server is the temporary one, which nobody asks for lost runs.

    They take a second at the end of every flow run. `on_death` is called in a thread, with an error that says why, if
    the temporary server ends meanwhile: Prefect's client would go on trying to reach it.
    """
    if not _running:
        yield
        return
    from prefect.context import SettingsContext, get_settings_context

    server, over = _running[0], threading.Event()

    def watch() -> None:
        server.process.wait()
        if not over.is_set() and server in _running:
            on_death(_ended(server))

    threading.Thread(target=watch, name="polyseme-server", daemon=True).start()
    context = get_settings_context()
    flows = context.settings.flows.model_copy(update={"heartbeat_frequency": None})
    settings = context.settings.model_copy(update={"flows": flows})
    try:
        with SettingsContext(profile=context.profile, settings=settings):
            yield
    finally:
        over.set()


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C: a process that is started meanwhile never gets it, this one gets it at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started() -> _Server:
    if not os.environ.get(_AUTHORIZATION[0]):
        password = f"polyseme:{secrets.token_urlsafe(32)}"
        os.environ.update(dict.fromkeys(_AUTHORIZATION, password))
    found = find_spec("prefect")
    assert found is not None
    assert found.origin is not None
    log = TemporaryFile()  # noqa: SIM115 - it is as long open as the server runs
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        # The socket itself is handed over, so that no other user's process can take its port and be told the password.
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "uvicorn", "--app-dir", str(Path(found.origin).parents[1]), "--factory",
                "prefect.server.api.server:create_app", "--fd", str(listening.fileno()), "--log-level", "error",
                "--lifespan", "on",
            ],
            env=os.environ | _SERVER, pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        return _Server(process, listening.getsockname()[1], log)


def _name_to_prefect(server: _Server) -> None:
    """Give this process and those that it starts the server's address, by the environment."""
    os.environ["PREFECT_API_URL"] = server.url
    _refresh_settings()


def _refresh_settings() -> None:
    """Let Prefect, if it is imported, read the environment again."""
    if "prefect.context" in sys.modules:
        # Settings were read when Prefect was imported, and are those of every thread that has none of its own.
        sys.modules["prefect.context"].refresh_global_settings_context()


def _wait(server: _Server) -> None:
    """Wait for the server's health page for as long as its process lives."""
    began = time.monotonic()
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", server.port)) as asked:
        asked.sendall(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        while not select.select([asked], [], [], _ANNOUNCED_SECONDS)[0] and server.process.poll() is None:
            phase(f"waiting for Prefect's temporary server, {time.monotonic() - began:,.0f} s")
        answer = asked.recv(1024)
    if not answer.startswith(b"HTTP/1.1 200"):
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(_ENDING_SECONDS)
        raise _ended(server)


def _ended(server: _Server) -> PolysemeError:
    server.log.seek(max(0, server.log.seek(0, os.SEEK_END) - _MOST_BYTES))
    written = server.log.read().decode(errors="replace")
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    code = server.process.poll()
    how = "does not answer" if code is None else f"ended with exit code {code}"
    if code is not None and code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
    home = os.environ.get("PREFECT_HOME", "~/.prefect")
    advice = (
        f"Its database in {home} was made by a newer Prefect: install that here, or name another folder with "
        "PREFECT_HOME."
        if _NEWER_DATABASE in written
        else f"Its database is in {home}; PREFECT_HOME names another folder, PREFECT_API_URL a standing server."
    )
    said = "\n".join(["It wrote last:", *(f"  {line}" for line in lines[-_LINES:])]) if lines else "It wrote nothing."
    return PolysemeError(f"Prefect's temporary server {how}. What was committed is kept. {advice} {said}")
