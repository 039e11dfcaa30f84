"""Served: real commands. `polyseme embed` with its temporary server, and a standing server whose parts are killed."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import processes
from tests.flows.server.standing import Standing
from tests.torture.week.children import Ending

POLYSEME = (sys.executable, "-m", "polyseme")
_STATES = {0: "completed", 2: "refused", 6: "held-back", 130: "cancelled", 143: "cancelled", -15: "cancelled"}
_VICTIMS = ("serve", "watch", "server", "serve and its runs")


def embed(
    lake: Path, specs: Sequence[str], model: str, home: Path, *, ending: Ending, confirmed: bool
) -> dict[str, Any] | None:
    """Run `polyseme embed`, which starts a temporary Prefect server, and say how it ended; None if it was killed."""
    limit = ("--delete-limit", "100%") if confirmed else ()
    command = [*POLYSEME, "embed", *specs, "--lake", str(lake), *_options(model), *limit, "--json"]
    environment = Standing(home).environment
    del environment["PREFECT_API_URL"]
    with processes.started(
        *command, env=environment, cwd=home, stdout=processes.PIPE, stderr=processes.PIPE, text=False
    ) as running:
        try:
            _, errors = running.communicate(timeout=ending.seconds or processes.DEADLINE_SECONDS)
        except processes.TimeoutExpired:
            if not ending.seconds:
                return {"state": "hung"}
            running.send_signal(ending.signal)
            _, errors = running.communicate(timeout=processes.DEADLINE_SECONDS)
    if running.returncode == -signal.SIGKILL:
        return None
    last = errors.decode(errors="replace").strip()[-600:]
    return {"state": _STATES.get(running.returncode, "failed"), "error": last, "calls": 0}


def configure(home: Path, lake: Path, roots: Sequence[str], model: str) -> None:
    """Write a `polyseme.toml` of one corpus with these source folders, whatever their names."""
    settings = {"sources": [Path(root).as_uri() for root in roots], "lake": str(lake), "model": model, "device": "cpu"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    text = "\n".join(["[corpus.week]", *lines, 'level = "sentences"', "nsp = false", ""])
    (home / "polyseme.toml").write_text(text, encoding="utf-8")


def start(standing: Standing) -> None:
    """Start a server, what runs its flows, and what watches the folders."""
    standing.start_server()
    standing.start_serve()
    standing.start_watch()


def kill_one(standing: Standing, chance: random.Random) -> str:
    """Kill one of the processes as a crash does; return which."""
    victim = chance.choice(_VICTIMS)
    standing.kill(victim.split()[0])
    if "runs" in victim:
        standing.kill_flow_runs()
    return victim


def start_again(standing: Standing, victim: str) -> None:
    """Start again what was killed."""
    ways = {"serve": standing.start_serve, "watch": standing.start_watch, "server": standing.start_server}
    ways[victim.split(maxsplit=1)[0]]()


def _options(model: str) -> tuple[str, ...]:
    return ("--model", model, "--device", "cpu", "--level", "sentences", "--no-nsp")
