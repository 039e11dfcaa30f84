"""The scan's thread: how far it goes, how it is stopped, and where its errors are raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.flows.runs.progress import Progress
from polyseme.flows.runs.scan_thread import ScanThread
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, EncodingSpec, Outputs, Reject
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.staging import SHARD_CHARS
from tests.processes import DEADLINE_SECONDS

SPEC = EncodingSpec(
    model="m", model_sha256="m", tokenizer_sha256="t", width=4, layers="last", pooling="mean", context="sentence",
    max_tokens=128, precision="fp32", splitter="s",
)  # fmt: skip


@pytest.fixture
def scan(tmp_path: Path) -> Iterator[Scan]:
    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(SPEC)
        version = catalog.begin_run("run", SPEC.encoding_id, [])
        scan = Scan(catalog, lake, "run", version, SPEC.encoding_id, Outputs("sentences", None, False))
        yield scan
        scan.close()


def items(count: int, *, text: str = "A bank.") -> Iterator[Document | Reject]:
    for i in range(count):
        yield Reject(f"file:///bad{i}", "", "read", "bad", "not text")
        yield Document(f"d{i}", f"file:///d{i}", text)


def test_a_limit_counts_documents_and_not_what_was_refused(scan: Scan) -> None:
    thread = ScanThread(scan, lambda: items(9), limit=2, progress=Progress("run"))
    assert [s.n_documents for s in thread.shards()] == [2]
    thread.wait()
    assert (scan.tally.documents, scan.tally.rejected, thread.progress.planned) == (2, 2, True)


def test_what_the_scan_raises_comes_after_the_shards_before_it(scan: Scan) -> None:
    def broken() -> Iterator[Document | Reject]:
        yield Document("d", "file:///d", "x" * SHARD_CHARS)
        yield from items(2000)
        raise OSError("the share is gone")

    shards = ScanThread(scan, broken, limit=None, progress=Progress("run")).shards()
    assert next(shards).n_documents == 1
    with pytest.raises(OSError, match="the share is gone"):
        next(shards)


def test_a_run_that_stops_ends_a_scan_that_would_go_on(scan: Scan) -> None:
    stopped = threading.Event()

    def endless() -> Iterator[Document | Reject]:
        yield from items(1)
        stopped.wait(DEADLINE_SECONDS)
        yield from items(10**9)

    thread = ScanThread(scan, endless, limit=None, progress=Progress("run"))
    shards = thread.shards()
    consumer = threading.Thread(target=lambda: list(shards))
    consumer.start()
    thread.progress.stop()
    stopped.set()
    consumer.join(DEADLINE_SECONDS)
    thread.wait()
    assert not consumer.is_alive()
    assert scan.tally.documents < 1000
