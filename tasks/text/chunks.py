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
from polyseme.tasks.text.passages import Stretch

VECTOR_FLOATS = 25_000_000
"""Float32 numbers a chunk's token vectors may take: 100 MB, whatever the width of a wide model.

A sentence, or a document, without a token counts as one: its own vector and rows take memory too.
"""
_TOKENS_MOST = 65_536
"""Of a narrow model: the words and rows of a token take hundreds of bytes besides its vector."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Sentences `start:stop` of a document, and the one behind them where the document goes on: to score the step.

    `ends` says that it goes no further; `document_tokens` counts the tokens of the document up to `stop`, `size` those
    of this piece, at least one a sentence.
    """

    stretch: Stretch
    start: int
    stop: int
    ends: bool
    size: int
    document_tokens: int

    @property
    def document(self) -> Document:
        return self.stretch.document


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces of documents as flat arrays over their tokens, in order.

    `piece_of`, `index` and `spans` are, for every sentence, its piece, its number within the document and where it
    begins and ends there. A cut piece carries the sentence behind the cut too; `own` is False for it: it is encoded
    here but stored by the next chunk.
    """

    pieces: list[Piece]
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]
    sentence_ptr: Ints
    piece_of: Ints
    index: Ints
    spans: Ints
    own: npt.NDArray[np.bool_]

    @property
    def sentences(self) -> int:
        return len(self.index)

    @property
    def documents(self) -> list[tuple[int, int]]:
        """Half-open ranges of sentences, one a piece."""
        edges = np.searchsorted(self.piece_of, np.arange(len(self.pieces) + 1)).tolist()
        return list(itertools.pairwise(edges))


def chunk_tokens(width: int) -> int:
    """Return how many tokens a chunk holds at most for vectors of `width` numbers."""
    return min(max(4096, VECTOR_FLOATS // width), _TOKENS_MOST)


def pieces_of(stretches: Iterable[Stretch], limit: int) -> Iterator[Piece]:
    """Cut documents into pieces of at most `limit` tokens (or one sentence), each as long as it may be."""
    held: Stretch | None = None
    before = 0
    for stretch in stretches:
        held = stretch if held is None else held.joined(stretch)
        while len(held) > 1 and (sizes := np.cumsum(np.maximum(held.lengths, 1)))[-1] > limit:
            stop = max(1, int(np.searchsorted(sizes, limit, side="right")))
            piece = _piece(held, stop, before)
            before = piece.document_tokens
            yield piece
            held = held.cut(stop, len(held))
        if held.last:
            yield _piece(held, len(held), before)
            held, before = None, 0


def _piece(held: Stretch, stop: int, before: int) -> Piece:
    lengths, goes_on = held.lengths[:stop], stop < len(held)
    return Piece(
        held.cut(0, stop + goes_on),
        start=held.first,
        stop=held.first + stop,
        ends=not goes_on,
        size=max(1, int(np.maximum(lengths, 1).sum())),
        document_tokens=before + int(lengths.sum()),
    )


def chunks(stretches: Iterable[Stretch], limit: int) -> Iterator[Chunk]:
    """Yield chunks of at most `limit` tokens in input order. A sentence longer than that is a chunk of its own."""
    waiting: list[Piece] = []
    total = 0
    for piece in pieces_of(stretches, limit):
        alone = piece.start > 0 or not piece.ends
        if waiting and (alone or total + piece.size > limit):
            yield _lay_out(waiting)
            waiting, total = [], 0
        waiting.append(piece)
        total += piece.size
    if waiting:
        yield _lay_out(waiting)


def _lay_out(pieces: list[Piece]) -> Chunk:
    def flat(name: str) -> npt.NDArray[np.int64]:
        return np.concatenate([getattr(piece.stretch, name) for piece in pieces])

    count = np.array([len(piece.stretch) for piece in pieces])
    start, stop = (np.array([getattr(piece, name) for piece in pieces]) for name in ("start", "stop"))
    piece_of = np.repeat(np.arange(len(pieces)), count)
    index = np.arange(len(piece_of)) + (start - (np.cumsum(count) - count))[piece_of]
    return Chunk(
        pieces=pieces,
        ids=flat("ids").astype(np.int32),
        char_start=flat("char_start"),
        char_end=flat("char_end"),
        word=flat("word").astype(np.int32),
        sentence_ptr=np.append(0, np.cumsum(flat("lengths"))),
        piece_of=piece_of,
        index=index,
        spans=flat("spans"),
        own=index < stop[piece_of],
    )
