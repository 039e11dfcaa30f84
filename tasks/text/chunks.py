"""Chunks: tokenized documents as flat arrays of bounded size.

A chunk holds whole documents until it is full. A document too large for one chunk gets chunks of its own, cut between
sentences at positions that depend on that document alone. Knows neither tokenizer nor model.
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
"""The most float32 numbers in a chunk's token vectors: 100 MB, whatever the hidden size.

A sentence or a document without a token counts as one token: its vector and rows take memory too.
"""
_TOKENS_MOST = 65_536
"""The most tokens of a chunk, for small hidden sizes: a token's words and rows take hundreds of bytes besides its
vector."""


@dataclass(frozen=True, slots=True, eq=False)
class DocumentSlice:
    """Sentences `start:stop` of a document, with the sentence after them if there is one: to score the transition.

    `ends` marks the document's last slice; `document_tokens` is the number of tokens of the document up to `stop`,
    `size` that of this slice, counting at least one per sentence.
    """

    passage: Passage
    start: int
    stop: int
    ends: bool
    size: int
    document_tokens: int

    @property
    def document(self) -> Document:
        """The document of the slice."""
        return self.passage.document


@dataclass(frozen=True, slots=True)
class Chunk:
    """Slices of documents as flat arrays over their tokens, in order.

    `word` and `last_word` are the first and the last word of a token, counted from 0 within its sentence.
    For every sentence, `slice_of` is its slice, `index` its number within the document and `spans` its character span
    there. A slice that was cut also has the sentence after the cut, with `own` False: it is encoded here, but stored by
    the next chunk.
    """

    slices: list[DocumentSlice]
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]
    last_word: npt.NDArray[np.int32]
    sentence_ptr: Ints
    slice_of: Ints
    index: Ints
    spans: Ints
    own: npt.NDArray[np.bool_]

    @property
    def sentences(self) -> int:
        """The number of sentences, including those that are not stored."""
        return len(self.index)

    @property
    def documents(self) -> list[tuple[int, int]]:
        """Half-open ranges of sentences, one per slice."""
        edges = np.searchsorted(self.slice_of, np.arange(len(self.slices) + 1)).tolist()
        return list(itertools.pairwise(edges))


def chunk_tokens(width: int) -> int:
    """Return the most tokens of a chunk for the hidden size `width`."""
    return min(max(4096, VECTOR_FLOATS // width), _TOKENS_MOST)


def slices_of(passages: Iterable[Passage], limit: int) -> Iterator[DocumentSlice]:
    """Cut documents into slices of at most `limit` tokens (or one sentence), each as long as possible."""
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
    lengths, continues = held.lengths[:stop], stop < len(held)
    return DocumentSlice(
        held.cut(0, stop + continues),
        start=held.first,
        stop=held.first + stop,
        ends=not continues,
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
            yield _chunk(waiting)
            waiting, total = [], 0
        waiting.append(part)
        total += part.size
    if waiting:
        yield _chunk(waiting)


def _chunk(slices: list[DocumentSlice]) -> Chunk:
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
        last_word=flat("last_word").astype(np.int32),
        sentence_ptr=np.append(0, np.cumsum(flat("lengths"))),
        slice_of=slice_of,
        index=index,
        spans=flat("spans"),
        own=index < stop[slice_of],
    )
