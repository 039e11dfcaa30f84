"""Files of the web: what their server says of them, and their bytes."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.web_files import address_of, download, version

DATE = "Sat, 28 Nov 2026 09:00:00 GMT"
ZIPPED = gzip.compress(b'{"text": "hello"}')


class Site(BaseHTTPRequestHandler):
    """A server with good and bad manners, by path."""

    requests: list[tuple[str, str]] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.requests.append((self.command, self.path))
        tries = self.requests.count((self.command, self.path))
        content, headers, code = b"A file of the web.", {"Last-Modified": DATE, "Content-Type": "text/plain"}, 200
        if self.path == "/tagged.txt":
            headers["ETag"] = '"v1"'
        elif self.path == "/weak.txt":
            headers["ETag"] = 'W/"v1"'
        elif self.path == "/silent.txt":
            headers = {}
        elif self.path in ("/encoded.jsonl.gz", "/encoded.jsonl"):
            content, headers["Content-Encoding"] = ZIPPED, "gzip"
        elif self.path == "/moved.txt":
            content, headers, code = b"", {"Location": "/tagged.txt"}, 302
        elif (self.path == "/busy.txt" and tries < 3) or self.path == "/down.txt":
            content, headers, code = b"", {}, 503
        elif self.path == "/secret.txt":
            content, headers, code = b"", {}, 403
        elif self.path == "/no-head.txt" and not body:
            content, headers, code = b"", {}, 405
        elif self.path == "/gone.txt" or (self.path == "/no-route.txt" and not body):
            content, headers, code = b"", {}, 404
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + (7 if self.path == "/short.txt" else 0)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def content(address: str) -> bytes:
    with download(address, most=1000) as file:
        return file.read()


def test_the_version_is_the_tag_or_else_the_date_and_the_length(site: str) -> None:
    assert version(f"{site}/tagged.txt").tag == '"v1"'
    assert version(f"{site}/weak.txt").tag == f"{DATE} 18"
    assert version(f"{site}/silent.txt").tag == ""


@pytest.mark.parametrize("name", ["no-head.txt", "no-route.txt"])
def test_a_server_that_describes_nothing_is_asked_for_the_file(site: str, name: str) -> None:
    found = version(f"{site}/{name}")
    assert (found.tag, found.size, found.content_type) == (f"{DATE} 18", 18, "text/plain")


def test_a_file_is_downloaded_whole(site: str) -> None:
    assert content(f"{site}/plain.txt") == b"A file of the web."
    assert content(f"{site}/moved.txt") == b"A file of the web."


def test_a_compressed_file_stays_compressed_and_a_compressed_answer_does_not(site: str) -> None:
    assert content(f"{site}/encoded.jsonl.gz") == ZIPPED
    assert content(f"{site}/encoded.jsonl") == b'{"text": "hello"}'


def test_a_busy_server_is_asked_again(site: str) -> None:
    assert content(f"{site}/busy.txt") == b"A file of the web."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("down.txt", "503"),
        ("secret.txt", "403"),
        ("gone.txt", "no such file"),
        ("short.txt", "did not give it"),
    ],
)
def test_what_cannot_be_had_is_an_error_of_files(site: str, name: str, message: str) -> None:
    with pytest.raises(OSError, match=message) as raised:
        content(f"{site}/{name}")
    assert raised.value.errno


def test_a_file_that_is_gone_is_told_from_one_that_cannot_be_had(site: str) -> None:
    with pytest.raises(FileNotFoundError):
        version(f"{site}/gone.txt")


def test_a_file_beyond_the_limit_is_not_taken(site: str) -> None:
    with pytest.raises(OSError, match="larger than 5 bytes"):
        download(f"{site}/plain.txt", most=5)


def test_no_answer_is_an_error_of_files() -> None:
    with pytest.raises(OSError, match="did not give it"):
        version("http://127.0.0.1:9/file.txt")


def test_an_address_is_ascii_and_what_is_encoded_stays() -> None:
    assert address_of("HTTPS://Example.org/a b%20ü/c.txt") == "https://example.org/a%20b%20%C3%BC/c.txt"


@pytest.mark.parametrize(
    ("address", "others"),
    [
        (
            "https://example.org/x",
            ["https://example.org:443/x", "HTTPS://Example.ORG:/x", "https://example.org:0443/x"],
        ),
        ("http://example.org/x", ["http://example.org:80/x", "http://EXAMPLE.org/x"]),
        ("http://example.org:443/x", ["http://example.org:0443/x"]),
        ("https://example.org:80/x", ["https://EXAMPLE.org:80/x"]),
        ("https://example.org:8443/X", ["https://example.org:08443/X"]),
        ("https://[::1]/x", ["https://[::1]:443/x"]),
        ("https://example.org/", ["https://example.org", "https://example.org:443", "https://example.org/#top"]),
    ],
)
def test_addresses_that_mean_the_same_are_one(address: str, others: list[str]) -> None:
    assert {address_of(spec) for spec in (address, *others)} == {address}


@pytest.mark.parametrize("spec", ["https://", "https:///a.txt", "https://:443/a.txt"])
def test_an_address_without_a_host_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="names no host"):
        address_of(spec)


@pytest.mark.parametrize("spec", ["https://example.org:x/a", "https://example.org:99999/a"])
def test_an_address_without_a_port_that_there_is_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        address_of(spec)


@pytest.mark.parametrize("spec", ["https://u:secret@example.org/a", "https://example.org/a?key=secret"])
def test_an_address_with_a_secret_is_refused_without_repeating_it(spec: str) -> None:
    with pytest.raises(UsageError) as raised:
        address_of(spec)
    assert "secret" not in str(raised.value)
    with pytest.raises(UsageError, match="download the file") as raised:
        resolve([spec])
    assert not any(word in str(raised.value) for word in ("secret", "AWS"))
