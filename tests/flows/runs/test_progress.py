"""Progress: counts from threads and from workers elsewhere, and how a run is stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from polyseme.flows.runs.progress import Progress, describe, line, listening, phase, refresh, reporter
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Outputs, Shard
from polyseme.tasks.engine import Cancelled


def shard(path: str, run_id: str = "run") -> Shard:
    return Shard(
        run_id=run_id, ordinal=0, version=1, encoding_id="e", outputs=Outputs(), path=path, n_documents=1,
        n_chars=10, shard_key="00",
    )  # fmt: skip


def test_a_worker_elsewhere_stops_once_its_staged_file_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.flows.runs.progress._CHECK_EVERY_SECONDS", 0.0)
    staged = tmp_path / "staging" / "00000.arrow"
    staged.parent.mkdir()
    staged.touch()
    report = reporter(shard("staging/00000.arrow", run_id="of another process"), Lake(tmp_path))
    report(100)
    staged.unlink()
    with pytest.raises(Cancelled, match="Stopped on request"):
        report(100)


def test_a_run_that_copies_everything_moves_and_says_so() -> None:
    progress = Progress("run", chars_planned=40)
    progress.planned = True
    assert progress.fraction == 0
    progress.shard(Counts(documents=1, sentences=492, reused_sentences=480), chars=10)
    assert progress.fraction == 0.25
    assert "12 sentences encoded, 480 reused" in describe(progress)


def test_a_run_that_rounds_everything_speaks_of_no_tokens() -> None:
    progress = Progress("run", chars_planned=40)
    progress.may_round = True
    assert line(progress).endswith("0 unchanged, 0 to encode or round")
    progress.planned = True
    progress.shard(Counts(documents=2, rounded_documents=2, sentences=492, reused_sentences=492), chars=20)
    assert progress.fraction == 0.5
    assert describe(progress).startswith("2 documents rounded, 492 sentences, about ")
    progress.shard(Counts(documents=1, sentences=9, forward_tokens=100), chars=20)
    assert describe(progress).startswith("3 documents, 2 rounded, 100 tokens run")


def test_tokens_that_ran_elsewhere_are_counted_when_their_shard_is_committed(tmp_path: Path) -> None:
    progress = Progress.begin("run")
    try:
        reporter(shard("not needed"), Lake(tmp_path))(30)
        progress.shard(Counts(documents=2, forward_tokens=100), chars=10)
        assert progress.tokens_forward == 100
        assert "2 documents, 100 tokens run" in describe(progress)
    finally:
        progress.end()


def test_a_run_says_what_it_has_read_what_it_waits_for_and_then_what_the_model_has_run(tmp_path: Path) -> None:
    progress = Progress.begin("run")
    told = list[tuple[str, float | None]]()
    try:
        progress.tally.documents, progress.tally.unchanged, progress.tally.new = 1204, 1100, 104
        with listening(lambda text, share: told.append((text, share))):
            phase("loading the model")
            progress.planned, progress.chars_planned = True, 1000
            refresh()
            reporter(shard("not needed"), Lake(tmp_path))(30)
            progress.shard(Counts(documents=52, tokens=80, forward_tokens=100), chars=500)
    finally:
        progress.end()
    texts = [text for text, _ in told]
    assert texts[0].startswith("loading the model; 1,204 documents read (")
    assert texts[0].endswith("/s), 1,100 unchanged, 104 to encode")
    assert texts[1] == "loading the model; 1,204 documents read, 1,100 unchanged, 104 to encode"
    assert texts[2] == "104 documents to encode, 30 tokens run"
    assert texts[3].startswith("52 documents, 100 tokens run")
    assert [share for _, share in told] == [None, None, None, 0.5]


def test_a_file_that_is_read_for_long_is_named_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress("run")
    assert line(progress).startswith("0 documents read (")
    progress.reading.files, progress.reading.uri = 3, "s3://b/c/%1B%5Bold%20mail.tar.gz"
    assert line(progress).startswith("0 documents of 3 files read (")
    monkeypatch.setattr("polyseme.flows.runs.progress._LONG_SECONDS", 0.0)
    assert line(progress).startswith("reading ?[old mail.tar.gz for 0 s; 0 documents of 3 files read (")
    progress.shard(Counts(documents=52, tokens=80, forward_tokens=100), chars=500)
    assert line(progress).startswith("reading ?[old mail.tar.gz for 0 s; 52 documents, 100 tokens run")
    progress.reading.uri = ""
    assert line(progress).startswith("52 documents")
    monkeypatch.setattr("polyseme.flows.runs.progress._LONG_SECONDS", 60.0)
    progress.reading.files, progress.reading.uri = 4, "file:///c/next.txt"
    assert line(progress).startswith("52 documents")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///a/b.txt", "b.txt"),
        ("file:///a/%E2%80%AE%0Ab.txt", "??b.txt"),
        ("file:///a/" + "long" * 20 + ".tar.gz", "longlonglonglonglong…glong.tar.gz"),
        ("https://host/", "host"),
        ("sqlite:////srv/news.db?query=SELECT%20a/b", "news.db"),
    ],
)
def test_a_name_is_short_and_of_characters_that_are_shown(monkeypatch: pytest.MonkeyPatch, uri: str, name: str) -> None:
    monkeypatch.setattr("polyseme.flows.runs.progress._LONG_SECONDS", 0.0)
    progress = Progress("run")
    progress.reading.files, progress.reading.uri = 1, uri
    found = progress.long_read()
    assert found is not None
    assert found[0] == name


def test_the_time_left_counts_from_when_the_model_first_ran() -> None:
    progress = Progress("run", started=time.perf_counter() - 1000)
    progress.planned, progress.chars_planned = True, 1000
    progress.batch(100)
    progress.shard(Counts(documents=1, forward_tokens=100), chars=500)
    assert progress.seconds > 1000
    assert progress.seconds_left is not None
    assert progress.seconds_left < 100
