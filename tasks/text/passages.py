"""Stretches: documents split into sentences and tokenized, a bounded run of sentences at a time.

Small documents are tokenized together, since a call costs the tokenizer as much as many words do; a large one comes in
several stretches, so that nothing but its text is in memory as a whole. Knows no model beyond its tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Document, Sentence
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.sentences import sentences
from polyseme.tasks.text.wordpiece import GROUP_CHARS, WordPiece

_OVERHEAD = 20
"""Characters that a sentence, and a document, counts for besides its text: neither may come by the million."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """Consecutive sentences of a document, the first of them number `first`, as flat arrays over their tokens.

    `spans` is `(sentences, 2)`: where each begins and ends in the document's text, as do `char_start` and `char_end` of
    each token. `lengths` is tokens a sentence, which may be none. `word` counts whole words from 0 within a sentence.
    `last` says that the document ends with this stretch. A document without a sentence has one, empty.
    """

    document: Document
    first: int
    last: bool
    spans: Ints
    lengths: Ints
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        return len(self.ids)

    def cut(self, start: int, stop: int) -> Passage:
        """Return sentences `start:stop` of this stretch; views, nothing is copied."""
        before, until = (int(self.lengths[:at].sum()) for at in (start, stop))
        own, mine = slice(start, stop), slice(before, until)
        return Passage(
            self.document, self.first + start, self.last and stop == len(self), self.spans[own], self.lengths[own],
            self.ids[mine], self.char_start[mine], self.char_end[mine], self.word[mine],
        )  # fmt: skip

    def joined(self, following: Passage) -> Passage:
        """Return this stretch and the one that follows it as one."""
        arrays = (
            np.concatenate([getattr(self, name), getattr(following, name)])
            for name in ("spans", "lengths", "ids", "char_start", "char_end", "word")
        )
        return Passage(self.document, self.first, following.last, *arrays)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A stretch before its tokens."""

    document: Document
    first: int
    last: bool
    sentences: list[Sentence]


def passages(documents: Iterable[Document], wordpiece: WordPiece) -> Iterator[Passage]:
    """Yield the stretches of all documents in order. They are the same in any company."""
    waiting: list[_Raw] = []
    size = 0
    for document in documents:
        for raw in _raw(document):
            waiting.append(raw)
            size += _OVERHEAD + sum(map(_size, raw.sentences))
            if size >= GROUP_CHARS:
                yield from _tokenized(waiting, wordpiece)
                waiting, size = [], 0
    yield from _tokenized(waiting, wordpiece)


def _raw(document: Document) -> Iterator[_Raw]:
    """Cut one document; its last stretch may be empty where the others were full."""
    first, size = 0, 0
    taken: list[Sentence] = []
    for sentence in sentences(document.text):
        if size >= GROUP_CHARS:
            yield _Raw(document, first, False, taken)
            first, size, taken = first + len(taken), 0, []
        taken.append(sentence)
        size += _size(sentence)
    yield _Raw(document, first, True, taken)


def _size(sentence: Sentence) -> int:
    return sentence.stop - sentence.start + _OVERHEAD


def _tokenized(waiting: list[_Raw], wordpiece: WordPiece) -> Iterator[Passage]:
    spans = np.array([(s.start, s.stop) for raw in waiting for s in raw.sentences], np.int64).reshape(-1, 2)
    made = wordpiece.tokens_of((raw.document.text, raw.sentences) for raw in waiting)
    edges = np.cumsum([0, *(len(raw.sentences) for raw in waiting)])
    places = np.append(0, np.cumsum(made.lengths))[edges]
    for raw, (a, b), (x, y) in zip(waiting, pairwise(edges.tolist()), pairwise(places.tolist()), strict=True):
        yield Passage(
            raw.document, raw.first, raw.last, spans[a:b], made.lengths[a:b],
            made.ids[x:y], made.char_start[x:y], made.char_end[x:y], made.word[x:y],
        )  # fmt: skip
