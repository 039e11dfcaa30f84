"""`polyseme explore` as a process: it prints its address, serves, and ends at Ctrl-C."""

from __future__ import annotations

import signal
import socket
import sys

import httpx
import pytest

from polyseme.flows.explorer.server import bound, is_loopback
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from tests import processes

EXPLORE = (sys.executable, "-m", "polyseme", "explore", "--no-open", "--lake")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_serves_until_a_signal(shown_lake: Lake, number: signal.Signals, code: int) -> None:
    pipes = {"stdout": processes.PIPE, "stderr": processes.PIPE}
    with processes.started(*EXPLORE, shown_lake.root, "--port", "0", **pipes) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        assert "12" in httpx.get(address, timeout=processes.DEADLINE_SECONDS).text
        process.send_signal(number)
        _, err = process.communicate(timeout=processes.DEADLINE_SECONDS)
        assert process.returncode == code
        assert "to go on" not in err, "it commits nothing"


def test_other_machines_need_the_token(shown_lake: Lake) -> None:
    with processes.started(
        *EXPLORE, shown_lake.root, "--port", "0", "--host", "0.0.0.0", stdout=processes.PIPE
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        assert "?token=" in address
        seconds = processes.DEADLINE_SECONDS
        assert httpx.get(address.partition("?")[0], timeout=seconds).status_code == 401
        with httpx.Client(follow_redirects=True, timeout=seconds) as client:
            assert client.get(address).status_code == 200


def test_no_lake_is_said_at_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    ended = processes.run(*EXPLORE, tmp_path / "absent", check=False)
    assert ended.returncode == 4
    assert "absent" in ended.stderr


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="--port"):
            bound("127.0.0.1", port)
    with bound("127.0.0.1", None) as one, bound("127.0.0.1", None) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


@pytest.mark.parametrize("host", ["no such host", "203.0.113.77"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match=r"--host|Cannot listen"):
        bound(host, 0)


def test_which_addresses_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "192.168.1.2", "::", "example.org")))
