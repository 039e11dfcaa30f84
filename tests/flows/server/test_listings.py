"""Watching what reports no changes: two listings are compared, and what differs becomes one event."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from polyseme.flows.server.corpora import Corpus
from polyseme.flows.server.watch import Watcher, watched
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.patterns import Patterns
from tests.buckets import Bucket
from tests.processes import DEADLINE_SECONDS, wait_until
from tests.web_site import Site, put, server, site

__all__ = ["server", "site"]

pytestmark = pytest.mark.servers


@pytest.fixture
def news(bucket: Bucket, tmp_path: Path) -> Corpus:
    (tmp_path / "news").mkdir()
    return Corpus(
        name="news",
        sources=[f"s3://{bucket.name}/news/", str(tmp_path / "news")],
        lake=str(tmp_path / "lake"),
        patterns=Patterns(exclude=("*.md",)),
    )


class Watching:
    """A watcher that runs, and the payloads that it sends."""

    def __init__(self, corpus: Corpus, *places: str) -> None:
        self._sent: SimpleQueue[Any] = SimpleQueue()
        self._watcher = Watcher(watched([corpus], places), settle=0.2, listing=0.1, deliver=self._deliver)
        self._thread = threading.Thread(target=self._watcher.run, daemon=True)

    def _deliver(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            self._sent.put(event["payload"])

    def heard(self) -> Any:
        return self._sent.get(timeout=DEADLINE_SECONDS)

    def __enter__(self) -> Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watcher.stop.set()
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()


def test_objects_that_arrive_change_and_go_are_an_event_each(bucket: Bucket, news: Corpus) -> None:
    prefix = f"s3://{bucket.name}/news/"
    with Watching(news, prefix) as watching:  # nothing is there yet
        assert watching.heard()["reason"] == "watch-started"
        bucket.put(
            {"news/a.txt": b"A text.", "news/b.md": b"Left out.", "news/.c.txt": b"Hidden.", "other.txt": b"No."}
        )
        assert watching.heard()["uris"] == (f"{prefix}a.txt",)
        bucket.put({"news/a.txt": b"Another text."})
        assert watching.heard()["uris"] == (f"{prefix}a.txt",)
        bucket.delete("news/a.txt")
        found = watching.heard()
    assert (found["files"], found["uris"], found["reason"]) == (1, (f"{prefix}a.txt",), "files-settled")


def test_a_corpus_of_folders_and_objects_has_both_watched(bucket: Bucket, news: Corpus, tmp_path: Path) -> None:
    (one,) = watched([news])
    assert (one.roots, one.listed) == ((tmp_path / "news",), (f"s3://{bucket.name}/news/",))
    (folder,) = watched([news], [str(tmp_path / "news")])
    assert (folder.roots, folder.listed) == ((tmp_path / "news",), ())
    (objects,) = watched([news], [f"s3://{bucket.name}/news/"])
    assert (objects.roots, objects.listed) == ((), (f"s3://{bucket.name}/news/",))
    with pytest.raises(UsageError, match=rf"s3://{bucket.name}/old/ is not part .*\n\[corpus.old\]"):
        watched([news], [f"s3://{bucket.name}/old/"])


def test_a_bucket_that_is_not_there_is_told_and_its_objects_do_not_count_as_gone(
    bucket: Bucket, news: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"s3://{bucket.name}/news/"
    bucket.put({"news/a.txt": b"A text.", "news/b.txt": b"Another text."})
    with Watching(news, prefix) as watching:
        assert watching.heard()["reason"] == "watch-started"
        bucket.delete("news/a.txt", "news/b.txt")
        bucket.client.delete_bucket(Bucket=bucket.name)
        said = f"the bucket {bucket.name} ({prefix}) is not there"
        wait_until(lambda: said in capsys.readouterr().err, "it is told")
        bucket.client.create_bucket(Bucket=bucket.name)
        bucket.put({"news/a.txt": b"Text that is new."})
        wait_until(lambda: f"{prefix}a.txt" in (watching.heard()["uris"] or ()), "it is seen when it is back")


def test_a_server_that_does_not_answer_is_told_once_and_nothing_counts_as_gone(
    site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put("/a.txt", b"A text.", ETag='"1"')
    put("/b.txt", b"A text.", ETag='"1"')
    corpus = Corpus(name="news", sources=[f"{site}/a.txt", f"{site}/b.txt"], lake=str(tmp_path / "lake"))
    with Watching(corpus) as watching:
        assert watching.heard()["reason"] == "watch-started"
        put("/a.txt", 403)
        put("/b.txt", b"Another.", ETag='"2"')
        wait_until(lambda: Site.requests.count(("GET", "/a.txt")) > 2, "it is asked for more than once")
        put("/a.txt", b"A text.", ETag='"1"')
        assert watching.heard()["uris"] == (f"{site}/b.txt",)
        put("/a.txt", 404)
        assert watching.heard()["uris"] == (f"{site}/a.txt",)
    assert capsys.readouterr().err.count("listed again until that can be done") == 1
