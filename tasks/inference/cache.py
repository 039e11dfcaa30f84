"""An LRU cache of answers in front of a batch computation, so that each question is computed once. Knows no model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class AnswerCache(Generic[Q, A]):
    """The `size` answers used last. Thread-safe; two threads with the same question at once may both compute it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Q, A] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, questions: Sequence[Q | None], answer: Callable[[list[Q]], Sequence[A]]) -> list[A | None]:
        """Return the answer to each question, None for None. `answer` gets the new questions, each once, in order."""
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
