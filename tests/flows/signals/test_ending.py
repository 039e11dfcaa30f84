"""The end by a signal, in this process: which one it was, whatever became of the exception."""

from __future__ import annotations

import os
import signal

import pytest

from polyseme.flows import cli
from polyseme.flows.signals.ending import EndedBySignal, arrived, ended_by_signals, handled_by, heard, survive

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def default_signals() -> object:
    """Handlers as a shell starts a process with: pytest's own parent may ignore some."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("how", SIGNALS)
def test_a_signal_raises_and_is_remembered(how: signal.Signals) -> None:
    with pytest.raises(EndedBySignal), ended_by_signals():
        os.kill(os.getpid(), how)
    assert arrived() == how


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert arrived() is None


@pytest.mark.parametrize("how", SIGNALS)
def test_the_exit_code_is_the_signals_though_a_library_raised_something_else(
    how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pydantic does, if a signal arrives while it calls a serializer."""

    def command(words: list[str]) -> None:
        try:
            os.kill(os.getpid(), how)
        except KeyboardInterrupt as interrupt:
            raise ValueError("Error calling function") from interrupt

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 128 + how


def test_a_shell_survives_ctrl_c_and_nothing_else() -> None:
    survive(KeyboardInterrupt())
    survive(EndedBySignal(signal.SIGINT))
    for how in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(EndedBySignal):
            survive(EndedBySignal(how))


def test_an_event_loop_handles_signals_in_its_own_way_and_hears_which_was_the_first() -> None:
    first = list[bool]()
    with ended_by_signals():
        with handled_by(lambda number, frame: first.append(heard(number))):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert (first, arrived()) == ([True, False], signal.SIGHUP)
        with pytest.raises(EndedBySignal):
            os.kill(os.getpid(), signal.SIGINT)
