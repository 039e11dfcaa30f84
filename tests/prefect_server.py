"""A real Prefect server of a test's own: its own database, its own port, and a process id to kill."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.processes import Process, started, wait_until


class PrefectServer:
    """A server that keeps its state in `home`, so that it can be killed and started again where it was."""

    def __init__(self, home: Path, **settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._settings = settings
        self._running = ExitStack()
        self._process: Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that shall talk to this server."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "WARNING"}
        return mine | quiet | {"PREFECT_HOME": str(self.home), "PREFECT_API_URL": self.url}

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.home / "server.log").open("ab") as log:
            server = started(*command, env=self.environment | self._settings, stdout=log, stderr=log)
            self._process = self._running.enter_context(server)
        wait_until(self._answers, f"the server at {self.url} answers")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
        self._running.close()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.home / "server.log").read_text(errors="replace")[-2000:]
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False
