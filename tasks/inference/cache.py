"""Memo: answers remembered for a while, so that a batch asks the model each question once. Knows no model or text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class AnswerCache(Generic[Q, A]):
    """The last `size` answers. Safe to share between threads; two that ask the same at once may both compute it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Q, A] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, questions: Sequence[Q | None], answer: Callable[[list[Q]], Sequence[A]]) -> list[A | None]:
        """Return an answer for each question, None for None. `answer` gets the new ones, each once, in order."""
        wanted = dict.fromkeys(q for q in questions if q is not None)
        with self._lock:
            known = {q: self._answers[q] for q in wanted if q in self._answers}
        new = [q for q in wanted if q not in known]
        if new:
            known |= dict(zip(new, answer(new), strict=True))
        self._keep(known)
        return [None if q is None else known[q] for q in questions]

    def _keep(self, answers: dict[Q, A]) -> None:
        with self._lock:
            for q, a in answers.items():
                self._answers[q] = a
                self._answers.move_to_end(q)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
