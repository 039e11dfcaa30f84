"""A real server of files of the web, each as a test has put it there."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest


class Site(BaseHTTPRequestHandler):
    """A server of the files that a test gives it, each its headers and its content; of no content the status."""

    files: dict[str, tuple[dict[str, str], bytes | int]] = {}  # noqa: RUF012
    requests: list[tuple[str, str]] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.requests.append((self.command, self.path))
        headers, content = self.files.get(self.path, ({}, 404))
        code, body = (200, content) if isinstance(content, bytes) else (content, b"")
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def site(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("polyseme.tasks.reading.web_files.time.sleep", lambda seconds: None)
    Site.files.clear()
    Site.requests.clear()
    return server


def put(path: str, content: bytes | int, **headers: str) -> None:
    Site.files[path] = {name.replace("_", "-"): value for name, value in headers.items()}, content
