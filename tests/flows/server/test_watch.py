"""Watching: a file has arrived once it has settled, and its event is sent until the server has it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from polyseme.flows.events import SendError, SourceChanged
from polyseme.flows.server.corpora import Corpus
from polyseme.flows.server.outbox import Outbox
from polyseme.flows.server.watch import Settling, Watched, Watcher, watched
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.patterns import Patterns
from tests.processes import DEADLINE_SECONDS, wait_until


def changed(corpus: str = "news", *uris: str) -> SourceChanged:
    return SourceChanged(corpus=corpus, reason="files-settled", files=len(uris), uris=uris)


class Server:
    """Takes events, or does not."""

    def __init__(self) -> None:
        self.away = False
        self.attempts: list[list[dict[str, object]]] = []
        self.heard: list[dict[str, object]] = []
        self.told = threading.Event()

    def __call__(self, events: Sequence[dict[str, object]]) -> None:
        self.attempts.append(list(events))
        if self.away:
            raise SendError("connection refused")
        self.heard += events
        self.told.set()


def test_a_file_that_still_grows_has_not_arrived() -> None:
    size = {"now": (1, 1)}
    settling = Settling(2.0, stamp=lambda path: size["now"])
    settling.saw([Path("/a.txt")], at=0.0)
    assert settling.settled(at=1.9) == {}
    size["now"] = (2, 2)
    assert settling.settled(at=2.1) == {}
    assert settling.settled(at=4.0) == {}
    assert settling.settled(at=4.2) == {Path("/a.txt"): (2, 2)}
    assert settling.settled(at=9.0) == {}


def test_a_file_that_changes_again_waits_again() -> None:
    settling = Settling(2.0, stamp=lambda path: (1, 1))
    settling.saw([Path("/a.txt")], at=0.0)
    settling.saw([Path("/a.txt")], at=1.5)
    assert settling.settled(at=3.0) == {}
    assert list(settling.settled(at=3.5)) == [Path("/a.txt")]


def test_a_removed_file_is_a_change_at_once(tmp_path: Path) -> None:
    settling = Settling(2.0)
    settling.saw([tmp_path / "gone.txt"], at=0.0)
    assert settling.settled(at=0.0) == {tmp_path / "gone.txt": None}


def test_an_event_keeps_its_id_until_the_server_has_it_and_is_sent_ever_less_often() -> None:
    server = Server()
    server.away = True
    outbox = Outbox(server)
    outbox.add(changed("news", "file:///a.txt"), "a.txt 1")
    for tenth in range(200):
        outbox.flush(at=tenth / 10)
    assert 3 <= len(server.attempts) <= 6
    assert len({events[0]["id"] for events in server.attempts}) == 1
    server.away = False
    outbox.flush(at=100.0)
    outbox.flush(at=101.0)
    assert [event["id"] for event in server.heard] == [server.attempts[0][0]["id"]]
    assert len(outbox) == 0


def test_a_server_may_be_away_for_weeks() -> None:
    server = Server()
    server.away = True
    outbox = Outbox(server)
    outbox.add(changed("news", "file:///a.txt"), "a.txt 1")
    for minute in range(30_000):
        outbox.flush(at=60.0 * minute)
    assert len(server.attempts) == 30_000
    server.away = False
    outbox.flush(at=1e9)
    assert len(server.heard) == 1


def test_what_happens_while_the_server_is_away_becomes_one_event_a_corpus() -> None:
    server = Server()
    server.away = True
    outbox = Outbox(server)
    for i in range(300):
        outbox.add(changed("news", f"file:///{i}.txt"), f"{i}")
        outbox.flush(at=float(i))
    outbox.add(changed("law", "file:///law.txt"), "law")
    server.away = False
    outbox.flush(at=1e6)
    news, law = (event["payload"] for event in server.heard)
    assert (news["files"], len(news["uris"]), law["files"]) == (300, 100, 1)  # type: ignore[index]


def test_the_same_files_in_the_same_state_give_the_same_event_id() -> None:
    def sent(what: str) -> object:
        server = Server()
        outbox = Outbox(server)
        outbox.add(changed("news", "file:///a.txt"), what)
        outbox.flush(at=0.0)
        return server.heard[0]["id"]

    assert sent("a.txt (5, 1)") == sent("a.txt (5, 1)") != sent("a.txt (6, 2)")


@pytest.fixture
def news(tmp_path: Path) -> Corpus:
    (tmp_path / "news" / "deep").mkdir(parents=True)
    return Corpus(name="news", sources=[str(tmp_path / "news")], lake=str(tmp_path / "lake"))


def test_a_folder_is_watched_for_the_corpora_that_read_it(tmp_path: Path, news: Corpus) -> None:
    (one,) = watched([news])
    assert one.roots == (tmp_path / "news",)
    (deep,) = watched([news], [tmp_path / "news" / "deep"])
    assert deep.roots == (tmp_path / "news" / "deep",)
    (above,) = watched([news], [tmp_path])
    assert above.roots == (tmp_path / "news",)
    (tmp_path / "news" / "a.txt").write_text("A text.")
    pattern = Corpus(name="glob", sources=[str(tmp_path / "news" / "*.txt")], lake=str(tmp_path / "lake"))
    (glob,) = watched([pattern])
    assert glob.roots == (tmp_path / "news",)
    assert glob.covers(tmp_path / "news" / "a.txt")
    assert not glob.covers(tmp_path / "news" / "a.md")


def test_a_folder_that_belongs_to_no_corpus_is_refused_with_what_to_configure(tmp_path: Path, news: Corpus) -> None:
    (tmp_path / "Other Things").mkdir()
    with pytest.raises(UsageError, match=r"\[corpus.other-things\]"):
        watched([news], [tmp_path / "Other Things"])
    with pytest.raises(UsageError, match="There is no folder"):
        watched([news], [tmp_path / "missing"])


@pytest.mark.parametrize("name", ["a.tmp", ".a.txt.swp", ".hidden.txt"])
def test_files_that_no_scan_reads_make_no_event(tmp_path: Path, news: Corpus, name: str) -> None:
    (one,) = watched([news])
    (tmp_path / "news" / name).write_text("x")
    assert not one.covers(tmp_path / "news" / name)


def test_a_folder_makes_an_event_whatever_its_name_unless_it_is_hidden(tmp_path: Path, news: Corpus) -> None:
    (one,) = watched([news])
    for name, wanted in (("2024", True), ("2024.11", True), ("v1.txt", True), (".git", False)):
        (tmp_path / "news" / name).mkdir()
        assert one.covers(tmp_path / "news" / name) == wanted, name
    (tmp_path / "elsewhere.d").mkdir()
    assert not one.covers(tmp_path / "elsewhere.d")


def test_a_real_folder_is_watched_from_its_start_to_files_and_folders_that_come_and_go(
    tmp_path: Path, news: Corpus
) -> None:
    server = Server()
    watcher = Watcher(watched([news]), settle=0.2, deliver=server)
    thread = threading.Thread(target=watcher.run, daemon=True)
    thread.start()

    def hear() -> dict[str, object]:
        wait_until(lambda: server.told.is_set() or not thread.is_alive(), "something is heard")
        assert server.told.is_set(), "the watcher died"
        server.told.clear()
        return server.heard[-1]["payload"]  # type: ignore[return-value]

    assert hear()["reason"] == "watch-started"
    (tmp_path / "news" / "a.txt").write_text("A text.")
    assert hear()["uris"] == ((tmp_path / "news" / "a.txt").as_uri(),)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text("Another.")
    os.rename(tmp_path / "elsewhere", tmp_path / "news" / "moved")
    assert hear()["uris"] == ((tmp_path / "news" / "moved" / "b.txt").as_uri(),)
    (tmp_path / "news" / "a.txt").unlink()
    assert hear()["uris"] == ((tmp_path / "news" / "a.txt").as_uri(),)
    watcher.stop.set()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_a_watched_corpus_knows_its_files(tmp_path: Path, news: Corpus) -> None:
    (one,) = watched([news])
    assert isinstance(one, Watched)
    assert one.covers(tmp_path / "news" / "deep" / "a.jsonl.gz")


def test_what_a_corpus_excludes_is_not_watched(tmp_path: Path) -> None:
    for name in ("a.txt", "build/b.txt", "c.log.txt", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    patterns = Patterns(exclude=("build/", "*.log.txt"))
    (one,) = watched(
        [Corpus(name="news", sources=[str(tmp_path)], lake=str(tmp_path.parent / "lake"), patterns=patterns)]
    )
    covered = {name: one.covers(tmp_path / name) for name in ("a.txt", "build", "build/b.txt", "c.log.txt", "README")}
    assert covered == {"a.txt": True, "build": False, "build/b.txt": False, "c.log.txt": False, "README": True}
    shutil.rmtree(tmp_path / "build")
    assert not one.covers(tmp_path / "build")
    (tmp_path / "build").write_text("a file of that name is read")
    assert one.covers(tmp_path / "build")
