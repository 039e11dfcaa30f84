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


@pytest.mark.slow
def test_strangers_are_not_answered(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = processes.run(sys.executable, "-c", _ASK, env=plain | {"PREFECT_HOME": str(tmp_path)}, cwd=ROOT)
    assert done.stdout.split() == ["401"] * 3
