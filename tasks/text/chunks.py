"""Chunks: tokenized documents laid into flat arrays of bounded size.

A chunk holds whole documents until it is full. A document too large for one chunk gets chunks of its own, cut
between sentences at places that depend on that document alone. Knows neither tokenizer nor model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Document
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.passages import Passage

VECTOR_FLOATS = 25_000_000
"""Float32 numbers a chunk's token vectors may take: 100 MB, whatever the width of a wide model.

A sentence, or a document, without a token counts as one: its own vector and rows take memory too.
"""
_TOKENS_MOST = 65_536
"""Of a narrow model: the words and rows of a token take hundreds of bytes besides its vector."""


@dataclass(frozen=True, slots=True, eq=False)
class DocumentSlice:
    """Sentences `start:stop` of a document, and the one behind them where the document goes on: to score the step.

    `ends` says that it goes no further; `document_tokens` counts the tokens of the document up to `stop`, `size` those
    of this piece, at least one a sentence.
    """

    passage: Passage
    start: int
    stop: int
    ends: bool
    size: int
    document_tokens: int

    @property
    def document(self) -> Document:
        return self.passage.document


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces of documents as flat arrays over their tokens, in order.

    `slice_of`, `index` and `spans` are, for every sentence, its piece, its number within the document and where it
    begins and ends there. A cut piece carries the sentence behind the cut too; `own` is False for it: it is encoded
    here but stored by the next chunk.
    """

    slices: list[DocumentSlice]
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]
    sentence_ptr: Ints
    slice_of: Ints
    index: Ints
    spans: Ints
    own: npt.NDArray[np.bool_]

    @property
    def sentences(self) -> int:
        return len(self.index)

    @property
    def documents(self) -> list[tuple[int, int]]:
        """Half-open ranges of sentences, one a piece."""
        edges = np.searchsorted(self.slice_of, np.arange(len(self.slices) + 1)).tolist()
        return list(itertools.pairwise(edges))


def chunk_tokens(width: int) -> int:
    """Return how many tokens a chunk holds at most for vectors of `width` numbers."""
    return min(max(4096, VECTOR_FLOATS // width), _TOKENS_MOST)


def slices_of(passages: Iterable[Passage], limit: int) -> Iterator[DocumentSlice]:
    """Cut documents into pieces of at most `limit` tokens (or one sentence), each as long as it may be."""
    held: Passage | None = None
    before = 0
    for passage in passages:
        held = passage if held is None else held.joined(passage)
        while len(held) > 1 and (sizes := np.cumsum(np.maximum(held.lengths, 1)))[-1] > limit:
            stop = max(1, int(np.searchsorted(sizes, limit, side="right")))
            part = _slice(held, stop, before)
            before = part.document_tokens
            yield part
            held = held.cut(stop, len(held))
        if held.last:
            yield _slice(held, len(held), before)
            held, before = None, 0


def _slice(held: Passage, stop: int, before: int) -> DocumentSlice:
    lengths, goes_on = held.lengths[:stop], stop < len(held)
    return DocumentSlice(
        held.cut(0, stop + goes_on),
        start=held.first,
        stop=held.first + stop,
        ends=not goes_on,
        size=max(1, int(np.maximum(lengths, 1).sum())),
        document_tokens=before + int(lengths.sum()),
    )


def chunks(passages: Iterable[Passage], limit: int) -> Iterator[Chunk]:
    """Yield chunks of at most `limit` tokens in input order. A sentence longer than that is a chunk of its own."""
    waiting: list[DocumentSlice] = []
    total = 0
    for part in slices_of(passages, limit):
        alone = part.start > 0 or not part.ends
        if waiting and (alone or total + part.size > limit):
            yield _lay_out(waiting)
            waiting, total = [], 0
        waiting.append(part)
        total += part.size
    if waiting:
        yield _lay_out(waiting)


def _lay_out(slices: list[DocumentSlice]) -> Chunk:
    def flat(name: str) -> npt.NDArray[np.int64]:
        return np.concatenate([getattr(part.passage, name) for part in slices])

    count = np.array([len(part.passage) for part in slices])
    start, stop = (np.array([getattr(part, name) for part in slices]) for name in ("start", "stop"))
    slice_of = np.repeat(np.arange(len(slices)), count)
    index = np.arange(len(slice_of)) + (start - (np.cumsum(count) - count))[slice_of]
    return Chunk(
        slices=slices,
        ids=flat("ids").astype(np.int32),
        char_start=flat("char_start"),
        char_end=flat("char_end"),
        word=flat("word").astype(np.int32),
        sentence_ptr=np.append(0, np.cumsum(flat("lengths"))),
        slice_of=slice_of,
        index=index,
        spans=flat("spans"),
        own=index < stop[slice_of],
    )
