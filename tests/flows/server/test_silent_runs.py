"""Silence: what tells a dead flow run from a living one, without a server."""

from __future__ import annotations

from uuid import uuid4

from polyseme.flows.server.silent_runs import Silence

ONE, OTHER = uuid4(), uuid4()


def test_a_run_whose_sign_of_life_stays_the_same_is_silent_after_a_while() -> None:
    silence = Silence(10)
    assert silence.silent({ONE: "a", OTHER: "a"}, at=0) == []
    assert silence.silent({ONE: "a", OTHER: "b"}, at=9) == []
    assert silence.silent({ONE: "a", OTHER: "b"}, at=10) == [ONE]
    assert silence.silent({ONE: "c", OTHER: "b"}, at=19) == [OTHER]


def test_a_run_that_was_not_seen_meanwhile_begins_again() -> None:
    silence = Silence(10)
    silence.silent({ONE: "a"}, at=0)
    silence.silent({}, at=5)
    assert silence.silent({ONE: "a"}, at=10) == []


def test_time_in_which_the_server_did_not_answer_does_not_count() -> None:
    silence = Silence(10)
    silence.silent({ONE: "a"}, at=0)
    silence.forget()
    assert silence.silent({ONE: "a"}, at=10) == []
    assert silence.silent({ONE: "a"}, at=20) == [ONE]
