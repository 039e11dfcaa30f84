"""Memo: each question is asked once, in order, and forgotten oldest first."""

from __future__ import annotations

import pytest

from polyseme.tasks.inference.cache import AnswerCache


def test_a_batch_asks_each_new_question_once_and_keeps_the_order() -> None:
    asked: list[list[str]] = []

    def shout(questions: list[str]) -> list[str]:
        asked.append(questions)
        return [q.upper() for q in questions]

    memo: AnswerCache[str, str] = AnswerCache(10)
    assert memo.ask(["b", None, "a", "b"], shout) == ["B", None, "A", "B"]
    assert memo.ask(["a", "c"], shout) == ["A", "C"]
    assert asked == [["b", "a"], ["c"]]


def test_the_answer_least_lately_asked_for_is_forgotten_first() -> None:
    asked: list[str] = []

    def note(questions: list[str]) -> list[str]:
        asked.extend(questions)
        return questions

    memo: AnswerCache[str, str] = AnswerCache(2)
    for batch in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        memo.ask(batch, note)
    assert asked == ["a", "b", "c", "b"]


def test_a_batch_larger_than_the_memory_is_answered_whole() -> None:
    memo: AnswerCache[int, int] = AnswerCache(2)
    assert memo.ask(range(5), lambda new: [-n for n in new]) == [0, -1, -2, -3, -4]


def test_a_failed_question_is_asked_again() -> None:
    memo: AnswerCache[str, str] = AnswerCache(2)
    with pytest.raises(RuntimeError):
        memo.ask(["a"], lambda new: (_ for _ in ()).throw(RuntimeError()))
    assert memo.ask(["a"], lambda new: new) == ["a"]
