"""A checkpoint named by its hub id is fetched once and pinned to its commit, from a real server on loopback."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

from polyseme.storage.errors import ModelError
from polyseme.tasks.model import checkpoint as module
from polyseme.tasks.model.checkpoint import Checkpoint, find
from tests.processes import DEADLINE_SECONDS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "somebody/tiny-bert"


class Hub(ThreadingHTTPServer):
    """A model hub on loopback with one repository in it: the four requests a download makes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _HubRequest)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.taken: list[str] = []


class _HubRequest(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"):
            self._answer(json.dumps({"id": NAME, "sha": COMMIT}).encode())
        elif path == f"/api/models/{NAME}/tree/{COMMIT}":
            found = self.server.files.items()
            tree = [{"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()} for n, c in found]
            self._answer(json.dumps(tree).encode())
        elif path.startswith(f"/{NAME}/resolve/{COMMIT}/"):
            self.server.taken.append(path.rpartition("/")[2])
            self._answer(self.server.files[self.server.taken[-1]])
        else:
            self.send_error(404)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", hashlib.sha1(content).hexdigest())
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], None]:
    """Point the hub client to a port of this machine, with an empty cache of its own."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def point(port: int) -> None:
        endpoint = f"http://127.0.0.1:{port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        files = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)

    return point


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    with Hub(folder) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def test_a_hub_id_is_fetched_once_pinned_to_its_commit_and_used_offline_from_then_on(
    tiny_folder: Path, copied: Path, hub_at: Callable[[int], None]
) -> None:
    (copied / "pytorch_model.bin").write_bytes(b"never fetched")
    with serving(copied) as hub:
        hub_at(hub.server_port)
        fetched = find(NAME)
    assert fetched.label == f"{NAME}@{COMMIT[:12]}"
    assert fetched.sha256 == Checkpoint("tiny", tiny_folder).sha256
    assert "model.safetensors" in hub.taken
    assert "pytorch_model.bin" not in hub.taken
    assert find(NAME) == find(f"{NAME}@main") == find(f"{NAME}@{COMMIT}") == fetched


def test_the_error_for_an_unreachable_hub_says_what_to_do(hub_at: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hub_at(port)
    with pytest.raises(ModelError, match=rf"Could not get '{NAME}'.*\(ConnectError\).*--model path"):
        find(f"{NAME}@main")


def test_a_name_unknown_to_the_hub_is_an_error(copied: Path, hub_at: Callable[[int], None]) -> None:
    with serving(copied) as hub:
        hub_at(hub.server_port)
        with pytest.raises(ModelError, match="Check the name and the network"):
            find("somebody/else")


def test_a_hub_that_does_not_answer_is_not_waited_for(
    hub_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HUB_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        hub_at(server.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(ModelError, match="Timeout"):
            find(NAME)
    assert time.monotonic() - began < DEADLINE_SECONDS / 2


def test_the_network_is_not_used_in_offline_mode(
    hub_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="OfflineModeIsEnabled"):
        find(NAME)
