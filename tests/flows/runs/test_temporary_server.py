"""The temporary server of a run: every user of the machine can reach it, and only the run is answered."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.repository import ROOT

_ASK = """
import httpx
from prefect.client.orchestration import get_client
from polyseme.flows.settings import prepare_prefect
prepare_prefect(verbose=False)
from polyseme.flows.runs.temporary_server import start_if_needed
start_if_needed()
with get_client(sync_client=True) as client:
    address = str(client.api_url)
    assert client.read_flow_runs() == []
    for credentials in (None, httpx.BasicAuth("polyseme", ""), httpx.BasicAuth("", "")):
        print(httpx.post(f"{address}flow_runs/filter", json={}, auth=credentials).status_code)
"""

_SLOW = """
import os, signal
from polyseme.flows.runs import temporary_server
from polyseme.flows.runs.progress import listening
from polyseme.flows.settings import prepare_prefect

def stop():
    os.kill(temporary_server._running[0].process.pid, signal.SIGSTOP)

def heard(text, share):
    print(text)
    if said.append(text) or len(said) == 3:
        os.kill(temporary_server._running[0].process.pid, signal.SIGCONT)

said = []
prepare_prefect(verbose=False)
with listening(heard):
    temporary_server.start_if_needed(meanwhile=stop)
print(temporary_server.is_running(), temporary_server.is_standing())
temporary_server.stop()
"""

_AGAIN = """
import os, signal
from polyseme.flows.runs import temporary_server
from polyseme.flows.settings import prepare_prefect
from polyseme.storage.errors import PolysemeError

def meanwhile():
    import prefect.main
    os.kill(temporary_server._running[0].process.pid, signal.SIGKILL)

prepare_prefect(verbose=False)
try:
    temporary_server.start_if_needed(meanwhile)
except PolysemeError as error:
    print(error)
print(temporary_server.is_running(), temporary_server.is_standing())
temporary_server.start_if_needed()
print(temporary_server.is_running(), temporary_server.is_standing())
temporary_server.stop()
"""


@pytest.mark.slow
def test_a_server_that_takes_its_time_is_waited_for_and_progress_says_so(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = processes.run(sys.executable, "-c", _SLOW, env=plain | {"PREFECT_HOME": str(tmp_path)}, cwd=ROOT)
    *said, last = done.stdout.splitlines()
    assert len(said) >= 3
    assert all(line.startswith("waiting for Prefect's temporary server, ") for line in said)
    assert last == "True False"


@pytest.mark.slow
def test_strangers_are_not_answered(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = processes.run(sys.executable, "-c", _ASK, env=plain | {"PREFECT_HOME": str(tmp_path)}, cwd=ROOT)
    assert done.stdout.split() == ["401"] * 3


@pytest.mark.slow
def test_the_run_after_one_whose_server_ended_starts_another(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = processes.run(sys.executable, "-c", _AGAIN, env=plain | {"PREFECT_HOME": str(tmp_path)}, cwd=ROOT)
    said, *states = done.stdout.splitlines()[0], *done.stdout.splitlines()[-2:]
    assert said.startswith("Prefect's temporary server was ended by SIGKILL.")
    assert states == ["False False", "True False"]
