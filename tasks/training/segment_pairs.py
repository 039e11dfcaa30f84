"""Pairs of segments for NSP: true neighbours, and negatives of three kinds.

Devlin et al. (2018) take B from another document, which topic alone tells. Two harder kinds teach order: B from
elsewhere in the same document, and true neighbours in swapped order (Lan et al. 2020, *ALBERT*). Knows tokens,
sentences, paragraphs and documents of a text; nothing of masks or models.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from polyseme.tasks.arrays import Ints
from polyseme.tasks.training.corpus import TrainingText

IS_NEXT, NOT_NEXT = 0, 1
"""Labels as in transformers' `BertForPreTraining`."""
NEXT, RANDOM, SAME_DOCUMENT, SWAPPED = range(4)
"""Kinds of pairs: the first is the positive one."""
KIND_NAMES = ("next", "random", "same_document", "swapped")

_ATTEMPTS = 4
"""Draws for a sentence that is not near: of eight sentences half are far, and one is found in 15 of 16 cases."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPairs:
    """Pairs of segments as half-open token ranges of a text, `(n,)` each; `kind` is NEXT, RANDOM, … ."""

    a_start: Ints
    a_stop: Ints
    b_start: Ints
    b_stop: Ints
    kind: Ints

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def lengths(self) -> Ints:
        """`(n,)`: tokens of each pair, including the three special tokens."""
        return self.a_stop - self.a_start + self.b_stop - self.b_start + 3

    def take(self, which: Ints | slice) -> SegmentPairs:
        """Return the pairs at `which`, in that order."""
        return SegmentPairs(*(getattr(self, column.name)[which] for column in fields(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShape:
    """How pairs are drawn: the longest pair, the most sentences of a segment, and the shares of two kinds of negatives.

    `same_document` and `swapped` are shares of the negatives; the rest come from another document.
    """

    max_tokens: int
    max_sentences: int
    same_document: float
    swapped: float


class PairSampler:
    """Draws pairs at given places of one text."""

    def __init__(self, text: TrainingText, shape: PairShape) -> None:
        self.text, self.shape = text, shape
        self.joints = text.joints()
        self._paragraph_stop = np.searchsorted(text.paragraph, text.paragraph, side="right")
        self._paragraph_start = np.searchsorted(text.paragraph, text.paragraph, side="left")

    def at(self, joints: Ints, generator: np.random.Generator) -> SegmentPairs:
        """Draw a pair at each of `joints`: A ends with that sentence; half of the Bs are the text after it.

        A negative in a document that is too short for its kind is RANDOM.
        """
        kind = self._kinds(len(joints), generator)
        a_many, b_many = generator.integers(1, self.shape.max_sentences + 1, (2, len(joints)))
        b_first = joints + 1
        b_first[kind == RANDOM] = self._elsewhere(joints[kind == RANDOM], generator)
        near = np.flatnonzero(kind == SAME_DOCUMENT)
        found = self._same_document(joints[near], generator)
        kind[near[found < 0]] = RANDOM
        b_first[near] = np.where(found < 0, self._elsewhere(joints[near], generator), found)
        a_first = np.maximum(joints - a_many + 1, self._paragraph_start[joints])
        b_end = np.minimum(b_first + b_many, self._paragraph_stop[b_first])
        ptr, swapped = self.text.sentence_ptr, kind == SWAPPED
        first, second = (ptr[a_first], ptr[joints + 1]), (ptr[b_first], ptr[b_end])
        a_start, a_stop = (np.where(swapped, b, a) for a, b in zip(first, second, strict=True))
        b_start, b_stop = (np.where(swapped, a, b) for a, b in zip(first, second, strict=True))
        return _trimmed(SegmentPairs(a_start, a_stop, b_start, b_stop, kind), self.shape.max_tokens)

    def _kinds(self, n: int, generator: np.random.Generator) -> Ints:
        """Return `(n,)` kinds in their shares, half of them NEXT, in random order."""
        negatives = n // 2
        same, swapped = (round(negatives * share) for share in (self.shape.same_document, self.shape.swapped))
        swapped = min(swapped, negatives - same)
        counts = [n - negatives, negatives - same - swapped, same, swapped]
        return generator.permutation(np.repeat(np.arange(4), counts))

    def _elsewhere(self, joints: Ints, generator: np.random.Generator) -> Ints:
        """Return for each of `joints` a sentence of another document, like true ones not the first of its paragraph."""
        own = self.text.document[joints]
        found = generator.choice(self.joints, len(joints)) + 1
        while (same := self.text.document[found] == own).any():
            found[same] = generator.choice(self.joints, int(same.sum())) + 1
        return found

    def _same_document(self, joints: Ints, generator: np.random.Generator) -> Ints:
        """Return for each of `joints` another sentence of its document, not near it; -1 if the document is too short.

        Near are the sentence itself, the one before it and the two after it: B could continue A there.
        """
        document = self.text.document[self.joints]
        low = np.searchsorted(document, self.text.document[joints])
        high = np.searchsorted(document, self.text.document[joints], side="right")
        found = np.full(len(joints), -1, np.int64)
        for _ in range(_ATTEMPTS):
            drawn = self.joints[generator.integers(low, high)] + 1
            far = (drawn < joints - 1) | (drawn > joints + 2)
            found = np.where((found < 0) & far, drawn, found)
        return found


def _trimmed(pairs: SegmentPairs, max_tokens: int) -> SegmentPairs:
    """Return pairs cut to `max_tokens`: the end of A and the start of B are kept."""
    most = max_tokens - 3
    a, b = pairs.a_stop - pairs.a_start, pairs.b_stop - pairs.b_start
    b = np.minimum(b, np.maximum(most - a, most // 2))
    a = np.minimum(a, most - b)
    return SegmentPairs(pairs.a_stop - a, pairs.a_stop, pairs.b_start, pairs.b_start + b, pairs.kind)
