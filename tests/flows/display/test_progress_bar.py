"""Progress: a bar on a terminal, a line now and then elsewhere, nothing on stdout."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from polyseme.flows.display.progress_bar import counted, followed, shown
from polyseme.flows.runs.progress import Progress, announce, listening


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.flows.display.progress_bar._LINE_EVERY_SECONDS", 0.0)


@pytest.mark.usefixtures("no_pause")
def test_where_there_is_no_terminal_a_line_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    with shown("training"):
        announce("reading", None)
        announce("step 2", 0.5)
    with counted("verifying", 4_000_000) as advance:
        advance(1_000_000)
        advance(3_000_000)
    announce("nobody listens", 1.0)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "training: reading", "training: 50%, step 2", "verifying: 25%, 1 of 4 MB", "verifying: 100%, 4 of 4 MB",
    ]  # fmt: skip


def test_lines_are_seconds_apart(capfd: pytest.CaptureFixture[str]) -> None:
    with shown("embedding"):
        for i in range(100):
            announce(f"{i} documents", i / 100)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_pause")
def test_what_a_query_does_is_asked_for_while_it_is_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    steps = iter([None, ("reading documents", 0.25), ("comparing", 1.0)])
    with followed("duplicates", "opening the lake", lambda: next(steps)) as tick:
        for _ in range(3):
            tick()
    assert capfd.readouterr() == ("", "duplicates: 25%, reading documents\nduplicates: 100%, comparing\n")


@pytest.mark.usefixtures("no_pause")
def test_a_terminal_has_a_bar_from_the_start_and_no_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with shown("training", at_first="preparing the text"):
        announce("step 2", 0.5)
    drawn = terminal.getvalue()
    assert "preparing the text" in drawn
    assert " 50%" in drawn
    assert "training: " not in drawn
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_pause")
def test_a_run_that_says_nothing_is_shown_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("polyseme.flows.display.progress_bar._REFRESH_SECONDS", 0.01)
    progress = Progress.begin("run")
    drawn = threading.Event()
    try:
        with shown("embedding"), listening(lambda text, share: drawn.set()):
            progress.tally.documents = 5
            assert drawn.wait(60)
    finally:
        progress.end()
    assert "embedding: " in capfd.readouterr().err
