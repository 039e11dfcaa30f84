"""Chunks: the documents of a shard, tokenized and laid into flat arrays of bounded size.

A chunk holds whole documents until it is full. A document too large for one chunk gets chunks of its own, cut
between sentences at places that depend on that document alone. Knows no model beyond its tokenizer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.records import Document, Sentence
from tasks.sentences import split
from tasks.windows import Ints
from tasks.wordpiece import TokenizedDocument, WordPiece

VECTOR_FLOATS = 25_000_000
"""Float32 numbers a chunk's token vectors may take: 100 MB, whatever the model's width."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document with its sentences and tokens."""

    document: Document
    sentences: list[Sentence]
    tokenized: TokenizedDocument


@dataclass(frozen=True, slots=True)
class Piece:
    """Sentences `start:stop` of a prepared document. `stop` is its last sentence's end unless it was cut."""

    prepared: PreparedDocument
    start: int
    stop: int

    @property
    def tokens(self) -> int:
        ptr = self.prepared.tokenized.sentence_ptr
        return int(ptr[self.stop] - ptr[self.start])

    @property
    def peek(self) -> int:
        """1 where the document goes on behind this piece: the next sentence is needed to score the transition."""
        return int(self.stop < len(self.prepared.sentences))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces of documents as flat arrays over their tokens, in order.

    `piece_of` and `index` are, for every sentence, its piece and its number within the document. A cut piece
    carries the sentence behind the cut too; `own` is False for it: it is encoded here but stored by the next chunk.
    """

    pieces: list[Piece]
    ids: npt.NDArray[np.int32]
    char_start: Ints
    char_end: Ints
    word: npt.NDArray[np.int32]
    sentence_ptr: Ints
    piece_of: Ints
    index: Ints
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
    return max(4096, VECTOR_FLOATS // width)


def prepare(document: Document, wordpiece: WordPiece) -> PreparedDocument:
    """Split and tokenize one document."""
    sentences = split(document.text)
    return PreparedDocument(document, sentences, wordpiece.tokenize(document.text, sentences))


def pieces_of(prepared: PreparedDocument, limit: int) -> list[Piece]:
    """Cut a document into pieces of at most `limit` tokens (or one sentence). One without a sentence is one piece."""
    ptr, count = prepared.tokenized.sentence_ptr, len(prepared.sentences)
    pieces: list[Piece] = []
    start = 0
    while start < count or not pieces:
        stop = max(start + 1, int(np.searchsorted(ptr, ptr[start] + limit, side="right")) - 1)
        stop = min(stop, count)
        pieces.append(Piece(prepared, start, stop))
        start = stop
    return pieces


def chunks(documents: Iterable[PreparedDocument], limit: int) -> Iterator[Chunk]:
    """Yield chunks of at most `limit` tokens in input order. A sentence longer than that is a chunk of its own."""
    waiting: list[Piece] = []
    total = 0
    for prepared in documents:
        pieces = pieces_of(prepared, limit)
        alone = len(pieces) > 1
        for piece in pieces:
            if waiting and (alone or total + piece.tokens > limit):
                yield _lay_out(waiting)
                waiting, total = [], 0
            waiting.append(piece)
            total += piece.tokens
    if waiting:
        yield _lay_out(waiting)


def _lay_out(pieces: list[Piece]) -> Chunk:
    flat: dict[str, list[npt.NDArray[np.int64]]] = {n: [] for n in ("ids", "char_start", "char_end", "word")}
    lengths, piece_of, index, own = [], [], [], []
    for number, piece in enumerate(pieces):
        tokenized = piece.prepared.tokenized
        stop = piece.stop + piece.peek
        ptr = tokenized.sentence_ptr[piece.start : stop + 1]
        for name, arrays in flat.items():
            arrays.append(getattr(tokenized, name)[ptr[0] : ptr[-1]])
        lengths.append(np.diff(ptr))
        piece_of.append(np.full(stop - piece.start, number, dtype=np.int64))
        index.append(np.arange(piece.start, stop, dtype=np.int64))
        own.append(np.arange(piece.start, stop) < piece.stop)
    sentence_ptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return Chunk(
        pieces=pieces,
        ids=np.concatenate(flat["ids"]).astype(np.int32),
        char_start=np.concatenate(flat["char_start"]),
        char_end=np.concatenate(flat["char_end"]),
        word=np.concatenate(flat["word"]).astype(np.int32),
        sentence_ptr=sentence_ptr,
        piece_of=np.concatenate(piece_of),
        index=np.concatenate(index),
        own=np.concatenate(own),
    )
