"""A server of made-up objects for `benchmarks.unchanged`, in a process of its own: as much of S3 as a reader needs.

    python -m benchmarks.store PORT OBJECTS

`GET /counts` answers how often it was asked for a listing, an object and the head of one since the last time.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SOURCE = "s3://corpus/c/"
_A_PAGE = 1000
_DATE = "2026-11-01T10:00:00.000Z"


def text(number: int) -> bytes:
    """Return the content of an object."""
    return f"The heron stood in reed {number:07d}.".encode()


class Store(BaseHTTPRequestHandler):
    """Answers for one bucket of `objects` objects, a thousand a folder."""

    protocol_version = "HTTP/1.1"
    objects = 0
    asked: Counter[str] = Counter()  # noqa: RUF012

    def do_HEAD(self) -> None:
        number = self._number()
        self.asked["heads"] += 1
        if number is None:
            self.send_response(404 if urlsplit(self.path).path.count("/") > 1 else 200)
            self.send_header("x-amz-bucket-region", "us-east-1")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(text(number), "text/plain", body=False)

    def do_GET(self) -> None:
        if self.path == "/counts":
            self._send(json.dumps(self.asked).encode(), "application/json")
            self.asked.clear()
        elif (number := self._number()) is not None:
            self.asked["objects"] += 1
            self._send(text(number), "text/plain")
        else:
            self.asked["listings"] += 1
            self._send(self._listing(), "application/xml")

    def _number(self) -> int | None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        return int(name[:7]) if name.endswith(".txt") and name[:7].isdecimal() else None

    def _listing(self) -> bytes:
        query = parse_qs(urlsplit(self.path).query)
        at = int(query.get("continuation-token", ["0"])[0])
        end = min(at + int(query.get("max-keys", [str(_A_PAGE)])[0]), self.objects)
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < self.objects else ""
        found = "".join(
            f"<Contents><Key>c/{n // _A_PAGE:05d}/{n:07d}.txt</Key><LastModified>{_DATE}</LastModified>"
            f"<ETag>&quot;{n:032x}&quot;</ETag><Size>{len(text(n))}</Size></Contents>"
            for n in range(at, end)
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>corpus</Name><Prefix>c/</Prefix><KeyCount>{end - at}</KeyCount><MaxKeys>{_A_PAGE}</MaxKeys>"
            f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{token}{found}</ListBucketResult>"
        ).encode()

    def _send(self, content: bytes, kind: str, *, body: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


@contextmanager
def serving(objects: int) -> Iterator[Callable[[], dict[str, int]]]:
    """Run a server of so many objects, and set the environment for it; gives what returns its counts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip

    def asked() -> dict[str, int]:
        with urllib.request.urlopen(f"{endpoint}/counts", timeout=60) as answer:
            counts: dict[str, int] = json.load(answer)
            return counts

    server = subprocess.Popen([sys.executable, "-m", "benchmarks.store", str(port), str(objects)])
    try:
        for _ in range(100):
            with suppress(OSError):
                asked()
                break
            time.sleep(0.1)
        yield asked
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Serve until it is ended."""
    Store.objects = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Store).serve_forever()


if __name__ == "__main__":
    main()
