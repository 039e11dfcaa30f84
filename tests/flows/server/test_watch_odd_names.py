"""Watching odd names and folders: none of them stops the events of another corpus, and each has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from polyseme.flows.events import SourceChanged
from polyseme.flows.server.corpora import Corpus
from polyseme.flows.server.watch import Watcher, watched
from polyseme.storage.errors import UsageError
from tests.processes import DEADLINE_SECONDS, wait_until


class Watching:
    """A watcher in a thread, with the events that it sent."""

    def __init__(self, corpora: Sequence[Corpus], *, poll: bool = False) -> None:
        self.sent: list[dict[str, object]] = []
        self.watcher = Watcher(watched(corpora), settle=0.2, poll=poll, deliver=self.sent.extend)
        self.thread = threading.Thread(target=self.watcher.run, daemon=True)

    def __enter__(self) -> Watching:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.watcher.stop.set()
        self.thread.join(DEADLINE_SECONDS)
        assert not self.thread.is_alive()

    def heard(self, corpus: str) -> list[SourceChanged]:
        payloads = [event["payload"] for event in list(self.sent)]
        return [SourceChanged(**p) for p in payloads if p["corpus"] == corpus]  # type: ignore[index, arg-type]

    def hears(self, corpus: str, text: str) -> None:
        """Wait until an event of `corpus` has an address, or a reason, that ends in `text`."""

        def found() -> bool:
            return any(s.endswith(text) for event in self.heard(corpus) for s in (event.reason, *event.uris))

        wait_until(lambda: found() or not self.thread.is_alive(), f"{corpus} has an event about {text}")
        assert found(), "the watcher died"


@pytest.fixture
def news(tmp_path: Path) -> Corpus:
    (tmp_path / "news" / "deep").mkdir(parents=True)
    return Corpus(name="news", sources=[str(tmp_path / "news")], lake=str(tmp_path / "lake"))


@pytest.fixture
def law(tmp_path: Path) -> Corpus:
    (tmp_path / "law").mkdir()
    return Corpus(name="law", sources=[str(tmp_path / "law")], lake=str(tmp_path / "lake"))


@pytest.mark.parametrize("poll", [False, True])
@pytest.mark.parametrize("already", [False, True])
def test_a_name_that_is_not_utf8_is_watched_and_stops_no_corpus(
    tmp_path: Path, news: Corpus, law: Corpus, poll: bool, already: bool
) -> None:
    odd = os.fsencode(tmp_path / "news") + b"/caf\xe9.txt"
    folder = os.fsencode(tmp_path / "news") + b"/\xff"
    if already:
        Path(os.fsdecode(odd)).write_text("A text.")
        os.mkdir(folder)
    with Watching([news, law], poll=poll) as watching:
        watching.hears("news", "watch-started")
        watching.hears("law", "watch-started")
        with open(odd, "a") as file:
            file.write("Another text.")
        os.makedirs(folder, exist_ok=True)
        (tmp_path / "law" / "a.txt").write_text("A text.")
        watching.hears("law", "a.txt")
        wait_until(lambda: len(watching.heard("news")) > 1, "the file of the odd name has an event")
        Path(os.fsdecode(folder), "b.txt").write_text("A text.")
        watching.hears("news", "/%FF/b.txt")
        Path(os.fsdecode(odd)).unlink()
        watching.hears("news", "/caf%E9.txt")


@pytest.mark.parametrize("poll", [False, True])
@pytest.mark.parametrize("arrives", ["made", "moved in", "renamed"])
def test_a_dotted_folder_that_came_after_the_start_and_goes_makes_an_event(
    tmp_path: Path, news: Corpus, poll: bool, arrives: str
) -> None:
    folder, elsewhere, old = (tmp_path / name for name in ("news/2026.11", "elsewhere", "news/old"))
    (elsewhere / "deep.er").mkdir(parents=True)
    (elsewhere / "deep.er" / "b.txt").write_text("Another text.")
    if arrives == "renamed":
        elsewhere.rename(old)
    with Watching([news], poll=poll) as watching:
        watching.hears("news", "watch-started")
        if arrives == "made":
            folder.mkdir()
        else:
            (old if arrives == "renamed" else elsewhere).rename(folder)
            watching.hears("news", "2026.11/deep.er/b.txt")
        (folder / "a.txt").write_text("A text.")
        watching.hears("news", "2026.11/a.txt")
        before = len(watching.heard("news"))
        os.rename(folder, tmp_path / "gone")
        wait_until(lambda: len(watching.heard("news")) > before, "the folder that went has an event")


def test_a_pattern_without_a_match_is_watched_for_its_first_file(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    pattern = Corpus(name="news", sources=[str(tmp_path / "news" / "*.txt")], lake=str(tmp_path / "lake"))
    with Watching([pattern]) as watching:
        watching.hears("news", "watch-started")
        (tmp_path / "news" / "a.txt").write_text("A text.")
        watching.hears("news", "a.txt")
    with pytest.raises(UsageError, match=r"\[corpus.away\]: no file"):
        watched([Corpus(name="away", sources=[str(tmp_path / "no" / "*.txt")], lake=str(tmp_path / "lake"))])


@pytest.mark.parametrize("poll", [False, True])
def test_a_folder_with_a_dot_in_its_name_that_is_moved_away_makes_an_event(
    tmp_path: Path, news: Corpus, poll: bool
) -> None:
    for folder in ("2026.11", "2026.12"):
        (tmp_path / "news" / folder).mkdir()
        (tmp_path / "news" / folder / "a.txt").write_text("A text.")
    with Watching([news], poll=poll) as watching:
        watching.hears("news", "watch-started")
        os.rename(tmp_path / "news" / "2026.11", tmp_path / "2026.11")
        watching.hears("news", "2026.11/a.txt" if poll else "2026.11")
        (tmp_path / "news" / "a.tmp").write_text("x")
        (tmp_path / "news" / "a.tmp").unlink()
        os.rename(tmp_path / "news" / "2026.12", tmp_path / "2026.12")
        watching.hears("news", "2026.12/a.txt" if poll else "2026.12")
        assert not any(uri.endswith(".tmp") for event in watching.heard("news") for uri in event.uris)


def test_a_watched_folder_that_vanishes_is_watched_again_when_it_is_back(
    tmp_path: Path, news: Corpus, law: Corpus
) -> None:
    with Watching([news, law]) as watching:
        watching.hears("news", "watch-started")
        watching.hears("law", "watch-started")
        os.rename(tmp_path / "news", tmp_path / "unmounted")
        watching.hears("news", "/news")
        (tmp_path / "news").mkdir()
        (tmp_path / "news" / "b.txt").write_text("A text.")
        watching.hears("news", "/news/b.txt")
        (tmp_path / "law" / "a.txt").write_text("A text.")
        watching.hears("law", "/law/a.txt")


def test_folders_beyond_the_systems_limit_are_compared_instead(
    tmp_path: Path, news: Corpus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def limited(*_: object, **__: object) -> object:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr("polyseme.flows.server.changes.watch", limited)
    with Watching([news]) as watching:
        watching.hears("news", "watch-started")
        (tmp_path / "news" / "a.txt").write_text("A text.")
        watching.hears("news", "/news/a.txt")
    assert "watch limit" in capsys.readouterr().err


def test_links_in_circles_are_watched_once(tmp_path: Path, news: Corpus) -> None:
    (tmp_path / "news" / "deep" / "loop").symlink_to(tmp_path / "news")
    with Watching([news]) as watching:
        watching.hears("news", "watch-started")
        (tmp_path / "news" / "deep" / "a.txt").write_text("A text.")
        watching.hears("news", "/news/deep/a.txt")


def test_a_corpus_whose_folder_is_missing_is_left_out_and_the_others_are_watched(
    tmp_path: Path, news: Corpus, law: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "law").rmdir()
    assert [one.corpus.name for one in watched([law, news])] == ["news"]
    assert "[corpus.law]" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"\[corpus.law\]"):
        watched([law])
