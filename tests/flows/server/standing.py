"""A standing Prefect server on loopback with Polyseme's own processes beside it, each killed by its id."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx

from tests import processes
from tests.repository import ROOT

POLYSEME = (sys.executable, "-m", "polyseme")
PREFECT = (sys.executable, "-m", "prefect")
_SERVE = """
import sys
from functools import partial
from polyseme.flows import cli
from polyseme.flows.server import serving

silence = float(sys.argv.pop(1))
serving.close_silent_runs = partial(
    serving.close_silent_runs, seconds=silence, of_workers=silence, look=min(silence / 5, 10)
)
cli.main()
"""


@dataclass
class Standing:
    """A working folder with `polyseme.toml`, and the processes that were started in it."""

    folder: Path
    port: int = field(init=False)
    _running: ExitStack = field(default_factory=ExitStack)
    _processes: dict[str, processes.Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "POLYSEME_"))}
        return mine | {
            "PREFECT_HOME": str(self.folder / "prefect-home"),
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, name: str, *command: str) -> None:
        """Start a process; what it says goes to `NAME.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            started = processes.started(
                *command, how=signal.SIGKILL, cwd=self.folder, env=self.environment, stdin=processes.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
            self._processes[name] = self._running.enter_context(started)

    def start_server(self) -> None:
        self.start("server", *PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self.wait(self._is_up, "the server answers")

    def start_serve(self, *, silence: float = 150.0) -> None:
        """Start serving; runs that have been silent for `silence` seconds are closed."""
        self.start("serve", sys.executable, "-c", _SERVE, str(silence), "serve", "--poll-seconds", "1")
        self.wait(lambda: "Serving" in self.log("serve"), "serve has begun")

    def start_watch(self) -> None:
        """Start watching, and wait until it has told the server so."""
        before = self.log("watch").count("watch-started")
        self.start("watch", *POLYSEME, "watch", "--settle", "0.5")
        self.wait(lambda: self.log("watch").count("watch-started") > before, "the watcher was heard")

    def start_worker(self) -> None:
        self.start("worker", *PREFECT, "worker", "start", "--pool", "local", "--name", "one")

    def polyseme(self, *words: str) -> str:
        """Run a command to its end."""
        out: str = processes.run(*POLYSEME, *words, cwd=self.folder, env=self.environment).stdout
        return out

    def kill(self, name: str) -> None:
        """End a process as a crash would, its children not."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def flow_run_processes(self) -> list[int]:
        """Return the ids of the processes that run flows of this server."""
        return [pid for pid, environment in self._mine() if b"PREFECT__FLOW_RUN_ID=" in environment]

    def kill_flow_runs(self) -> int:
        killed = self.flow_run_processes()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        return len(killed)

    def end(self) -> None:
        """End everything that was started here, whoever started it."""
        self._running.close()

    def _mine(self) -> list[tuple[int, bytes]]:
        """Processes with this folder's PREFECT_HOME: no other test's, and no other user's."""
        mark = f"PREFECT_HOME={self.folder / 'prefect-home'}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if mark in environment.split(b"\0"):
                    found.append((int(entry.name), environment))
        return found

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Return what `condition` returns once it is true."""
        try:
            return processes.wait_until(condition, what)
        except AssertionError as late:
            logs = [f"--- {p.name}\n{p.read_text('utf-8', 'replace')[-3000:]}" for p in self.folder.glob("*.log")]
            raise AssertionError("\n".join([str(late), *logs])) from None

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **body: Any) -> Any:
        """Return the answer; ask again while the server reports a locked database as 503, as its clients do."""

        def answered() -> httpx.Response | None:
            response = httpx.request(method, f"{self.api}{path}", timeout=processes.DEADLINE_SECONDS, **body)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        answer: httpx.Response = self.wait(answered, f"the server answers {method} {path} with something but 503")
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def runs(self, deployment: str, *states: str) -> list[dict[str, Any]]:
        """Return the flow runs of a deployment, in these states if any are named."""
        here = {"deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}}}
        if states:
            here["flow_runs"] = {"state": {"name": {"any_": list(states)}}}
        return self.post("/flow_runs/filter", here)

    def run(self, deployment: str, **parameters: Any) -> str:
        """Have a deployment run now; return the flow run's id."""
        return self._create(deployment, {"type": "SCHEDULED"}, parameters)

    def run_as(self, deployment: str, type: str, name: str) -> str:
        """Create a flow run in a state, for nobody to carry on; return its id."""
        return self._create(deployment, {"type": type, "name": name}, {})

    def _create(self, deployment: str, state: dict[str, str], parameters: dict[str, Any]) -> str:
        path = f"/deployments/{self.deployment(deployment)['id']}/create_flow_run"
        made: str = self.post(path, {"parameters": parameters, "state": state})["id"]
        return made

    def state(self, run_id: str) -> str:
        """Return the name of a flow run's state."""
        name: str = self.get(f"/flow_runs/{run_id}")["state"]["name"]
        return name

    def set_state(self, run_id: str, type: str) -> None:
        """Propose a state, as the run's own process does."""
        self.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": type}})

    def wait_for_run(self, run_id: str) -> None:
        def ended() -> str | None:
            state = self.get(f"/flow_runs/{run_id}")["state"]
            return state["name"] if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        assert self.wait(ended, f"run {run_id} ends") == "Completed"

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the lake as any reader does; nothing while there is none."""
        path = self.folder / "lake" / "catalog.duckdb"
        if not path.exists():
            return []
        with duckdb.connect(str(path), read_only=True) as con:
            return con.execute(sql).fetchall()

    def names(self) -> set[str]:
        """Return the file names of all documents in the lake."""
        return {name for (name,) in self.ask("SELECT parse_filename(uri) FROM documents")}

    def wait_for_documents(self, names: set[str]) -> None:
        self.wait(lambda: names <= self.names(), f"{len(names)} documents are in the lake")

    def doubles(self) -> list[tuple[Any, ...]]:
        """Return what stands in the lake more than once."""
        return self.ask(
            "SELECT doc_id, sentence_index, count(*) FROM sentences GROUP BY ALL HAVING count(*) > 1 UNION ALL "
            "SELECT doc_id, -1, count(*) FROM documents GROUP BY ALL HAVING count(*) > 1"
        )
