"""The cache of answers: each question is computed once, in order; the one used least recently is dropped first."""

from __future__ import annotations

import pytest

from polyseme.tasks.inference.cache import AnswerCache


def test_a_batch_computes_each_new_question_once_and_keeps_the_order() -> None:
    asked: list[list[str]] = []

    def shout(questions: list[str]) -> list[str]:
        asked.append(questions)
        return [q.upper() for q in questions]

    cache: AnswerCache[str, str] = AnswerCache(10)
    assert cache.ask(["b", None, "a", "b"], shout) == ["B", None, "A", "B"]
    assert cache.ask(["a", "c"], shout) == ["A", "C"]
    assert asked == [["b", "a"], ["c"]]


def test_the_answer_used_least_recently_is_dropped_first() -> None:
    asked: list[str] = []

    def note(questions: list[str]) -> list[str]:
        asked.extend(questions)
        return questions

    cache: AnswerCache[str, str] = AnswerCache(2)
    for batch in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        cache.ask(batch, note)
    assert asked == ["a", "b", "c", "b"]


def test_a_batch_larger_than_the_cache_is_answered_completely() -> None:
    cache: AnswerCache[int, int] = AnswerCache(2)
    assert cache.ask(range(5), lambda new: [-n for n in new]) == [0, -1, -2, -3, -4]


def test_a_failed_question_is_computed_again() -> None:
    cache: AnswerCache[str, str] = AnswerCache(2)
    with pytest.raises(RuntimeError):
        cache.ask(["a"], lambda new: (_ for _ in ()).throw(RuntimeError()))
    assert cache.ask(["a"], lambda new: new) == ["a"]
