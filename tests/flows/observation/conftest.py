"""Servers that take what a run sends, and the facts of a run to tell them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from polyseme.flows.observation.facts import RunBegun, RunEnded, Source
from polyseme.storage.records import Counts, EncodingSpec, Outputs, Part, Shard, ShardResult
from polyseme.tasks.shards.tally import Tally

AT = datetime(2026, 11, 27, 17, tzinfo=UTC)
SPEC = EncodingSpec(
    model="polyseme-mini", model_sha256="a" * 64, tokenizer_sha256="b" * 64, width=384, layers="last", pooling="mean",
    context="sentence", max_tokens=512, precision="fp32", splitter="nupunkt-1",
)  # fmt: skip
RUN = RunBegun(
    run_id="2b789aec2c8d", kind="embed", at=AT, lake="/data/lake", lake_id="f" * 32, encoding="polyseme_mini",
    spec=SPEC, tables=("documents", "sentences", "transitions"),
    sources=(Source(kind="folder", name="/data/news"), Source(kind="glob", name="/data/more/**/*.txt")),
)  # fmt: skip
COUNTS = Counts(
    documents=3,
    rounded_documents=1,
    sentences=9,
    tokens=100,
    forward_tokens=130,
    bytes=4096,
    seconds={"encode": 0.5, "read": 0.25},
)
END = RunEnded(
    state="completed", at=AT + timedelta(seconds=2), counts=COUNTS, shards=1, seconds=2.0,
    tally=Tally(documents=10, new=2, changed=1, unchanged=7, rejected=4), refused={"no-text": 4},
)  # fmt: skip
SHARD = Shard(
    run_id=RUN.run_id, ordinal=0, version=1, encoding_id=SPEC.encoding_id, outputs=Outputs(), path="staging/0",
    n_documents=3, n_chars=400, shard_key="00",
)  # fmt: skip


def part(table: str, rows: int, size: int) -> Part:
    path = f"data/{table}/encoding={SPEC.encoding_id}/0.parquet"
    return Part(table=table, encoding_id=SPEC.encoding_id, path=path, rows=rows, bytes=size, sha256="c" * 64)


RESULT = ShardResult(
    shard=SHARD, parts=(part("documents", 3, 1000), part("sentences", 9, 3096)), documents=(), rejects=(), counts=COUNTS
)


@dataclass
class Collector:
    """An HTTP server on loopback that keeps what is posted to it. `status` is what it answers."""

    address: str
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    status: int = 200
    stalled: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, body in self.posted if at == path]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A server; set `stalled` only to let it answer nothing until the test ends."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if found.stalled.is_set():
                ended.wait(60)
            found.posted.append((self.path, body))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing configured: neither in the environment nor in a file above the working directory."""
    import os

    for name in tuple(os.environ):
        if name.startswith(("OPENLINEAGE", "OTEL_", "TRACE")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
