"""The lock of a device on a real server: one run at a time, alternating, and no slot outlives its holder for long."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from tests import processes
from tests.prefect_server import PrefectServer
from tests.processes import wait_until

pytestmark = pytest.mark.server

HOLD = """
import sys, time
from prefect.client.orchestration import get_client
from polyseme.flows.runs.device_lock import DeviceLock
lock = DeviceLock(get_client(sync_client=True), sys.argv[1])
lock.open(create=True)
with lock:
    print("held", flush=True)
    time.sleep(3600)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Leases lie in files, so that a server that is killed still knows them when it comes back."""
    made = PrefectServer(
        tmp_path_factory.mktemp("prefect"),
        PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE="prefect.server.concurrency.lease_storage.filesystem",
        PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS="1",
    )
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def api(server: PrefectServer) -> Iterator[None]:
    """This process talks to that server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        yield


def opened(name: str, *, create: bool = True):
    from prefect.client.orchestration import get_client

    from polyseme.flows.runs.device_lock import DeviceLock

    made = DeviceLock(get_client(sync_client=True), name)
    return made if made.open(create=create) else None


def slots(name: str) -> int:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True).read_global_concurrency_limit_by_name(name).active_slots


@pytest.mark.usefixtures("api")
def test_two_runs_alternate_and_never_use_the_device_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.flows.runs.device_lock.HOLD_SECONDS", 0.0)
    locks = [opened("alternate"), opened("alternate")]
    order, together, done, inside = [], [], [False, False], threading.Lock()

    def work(run: int) -> None:
        for _ in range(4):
            with locks[run]:
                together.append(not inside.acquire(blocking=False))
                order.append(run)
                wait_until(lambda: done[1 - run] or slots("alternate-next") == 1, "the other run waits")
                inside.release()
        done[run] = True

    with ThreadPoolExecutor(2) as runs:
        for run in [runs.submit(copy_context().run, work, run) for run in range(2)]:
            run.result()
    assert together == [False] * 8
    assert order in ([0, 1] * 4, [1, 0] * 4)
    wait_until(lambda: slots("alternate") == slots("alternate-next") == 0, "both slots are free")


@pytest.mark.usefixtures("api")
def test_a_lock_without_work_gives_the_device_up_and_one_with_work_renews_its_lease(
    server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.flows.runs.device_lock.RENEW_SECONDS", 0.0)
    mine = opened("renewed")

    def expirations() -> set[str]:
        files = (server.home / "concurrency_leases").glob("????????-*.json")
        return {json.loads(file.read_text())["expiration"] for file in files}

    with mine:
        granted = expirations()
        assert len(granted) == 1
        wait_until(lambda: expirations().isdisjoint(granted), "the lease is renewed")
        assert slots("renewed") == 1
    wait_until(lambda: slots("renewed") == 0, "the slot is free")


@pytest.mark.usefixtures("api")
def test_what_an_operator_set_stays_and_cores_are_locked_only_if_somebody_created_the_limit() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    assert opened("nobody-created-it", create=False) is None
    opened("shared")
    client = get_client(sync_client=True)
    client.update_global_concurrency_limit("shared", GlobalConcurrencyLimitUpdate(limit=3))
    with opened("shared"), opened("shared", create=False):
        assert client.read_global_concurrency_limit_by_name("shared").limit == 3
        assert slots("shared") == 2


@pytest.mark.usefixtures("api")
def test_a_slot_that_a_server_forgot_is_taken_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    monkeypatch.setattr("polyseme.flows.runs.device_lock._STUCK_SECONDS", 0.0)
    mine = opened("forgotten")
    get_client(sync_client=True).update_global_concurrency_limit(
        "forgotten", GlobalConcurrencyLimitUpdate(active_slots=1)
    )
    with mine:
        assert slots("forgotten") == 1
    wait_until(lambda: slots("forgotten") == 0, "the slot is free")


def test_without_a_standing_server_there_is_no_lock(tiny) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from polyseme.flows.runs.device_lock import device_lock

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert device_lock(tiny) is None


@pytest.mark.usefixtures("api")
def test_a_server_that_is_gone_does_not_fail_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    from polyseme.flows.runs.device_lock import DeviceLock

    monkeypatch.setattr("polyseme.flows.runs.device_lock._UNREACHABLE_SECONDS", 0.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = SyncPrefectClient(f"http://127.0.0.1:{nobody.getsockname()[1]}/api")
        with DeviceLock(gone, "gone"):
            pass


class Failing(BaseHTTPRequestHandler):
    """A server whose every answer is an error."""

    def do_POST(self) -> None:
        self.send_error(500)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_server_that_fails_does_not_fail_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    from polyseme.flows.runs.device_lock import DeviceLock

    monkeypatch.setattr("polyseme.flows.runs.device_lock._UNREACHABLE_SECONDS", 0.0)
    with HTTPServer(("127.0.0.1", 0), Failing) as failing:
        thread = threading.Thread(target=failing.serve_forever)
        thread.start()
        try:
            with DeviceLock(SyncPrefectClient(f"http://127.0.0.1:{failing.server_port}/api"), "failing"):
                pass
        finally:
            failing.shutdown()
            thread.join()


@pytest.mark.usefixtures("api")
def test_after_holder_and_server_are_killed_the_slot_comes_free_and_another_run_finishes(
    server: PrefectServer, corpus: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    from polyseme.flows.embed import EmbedRequest, embed_corpus

    name = f"polyseme-device-{socket.gethostname()}-cpu"
    with processes.started(sys.executable, "-c", HOLD, name, env=server.environment, stdout=processes.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert slots(name) == 1
    server.kill()
    server.start()

    # It waits for the dead holder's lease to end: at most a minute, and the interval at which the server looks.
    report = embed_corpus(
        EmbedRequest(
            sources=[str(corpus)],
            lake=str(tmp_path / "lake"),
            engine=EngineConfig(model=str(tiny_folder), device="cpu"),
            outputs=Outputs("sentences", None, False),
        )
    )
    assert report.counts.documents == 3
    wait_until(lambda: slots(name) == slots(f"{name}-next") == 0, "the run gave its slots back")
