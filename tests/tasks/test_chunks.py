"""Chunks hold every sentence once, within their limit, and cut a document at places of its own choosing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.records import Document, Sentence
from tasks.chunks import Chunk, PreparedDocument, chunk_tokens, chunks, pieces_of, prepare
from tasks.engine import Engine
from tasks.wordpiece import TokenizedDocument

LENGTHS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 60)), max_size=15)
CORPUS = st.lists(LENGTHS, max_size=8)
LIMITS = st.integers(1, 80)


def prepared(lengths: list[int], name: int = 0) -> PreparedDocument:
    """A document with sentences of these many tokens. Ids tell document, sentence and token apart."""
    ptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(ptr[-1], dtype=np.int64)
    tokenized = TokenizedDocument(
        ids=(10_000 * name + place).astype(np.int32),
        char_start=place,
        char_end=place + 1,
        word=(place - np.repeat(ptr[:-1], lengths)).astype(np.int32),
        sentence_ptr=ptr,
    )
    sentences = [Sentence(int(a), int(b)) for a, b in pairwise(ptr)]
    return PreparedDocument(Document(str(name), "file:///x", "." * int(ptr[-1])), sentences, tokenized)


def corpus(documents: list[list[int]]) -> list[PreparedDocument]:
    return [prepared(lengths, name) for name, lengths in enumerate(documents)]


def owned(chunk: Chunk) -> list[tuple[str, int, list[int]]]:
    """Document, number and token ids of every sentence that this chunk stores."""
    return [
        (
            chunk.pieces[chunk.piece_of[s]].prepared.document.doc_id,
            int(chunk.index[s]),
            chunk.ids[chunk.sentence_ptr[s] : chunk.sentence_ptr[s + 1]].tolist(),
        )
        for s in np.flatnonzero(chunk.own)
    ]


@given(CORPUS, LIMITS)
def test_every_sentence_is_stored_once_in_order_with_its_tokens(documents: list[list[int]], limit: int) -> None:
    found = corpus(documents)
    expected = [
        (d.document.doc_id, i, d.tokenized.ids[d.tokenized.sentence_ptr[i] : d.tokenized.sentence_ptr[i + 1]].tolist())
        for d in found
        for i in range(len(d.sentences))
    ]
    assert [sentence for chunk in chunks(found, limit) for sentence in owned(chunk)] == expected


@given(CORPUS, LIMITS)
def test_every_document_begins_once_even_without_a_sentence(documents: list[list[int]], limit: int) -> None:
    begun = [p.prepared.document.doc_id for c in chunks(corpus(documents), limit) for p in c.pieces if p.start == 0]
    assert begun == [str(name) for name in range(len(documents))]


@given(CORPUS, LIMITS)
def test_a_chunk_keeps_its_limit_or_stores_one_sentence(documents: list[list[int]], limit: int) -> None:
    for chunk in chunks(corpus(documents), limit):
        stored = [len(ids) for _, _, ids in owned(chunk)]
        assert sum(stored) <= limit or sum(length > 0 for length in stored) == 1


@given(CORPUS, LIMITS, st.integers(0, 7))
def test_a_document_is_cut_alike_in_any_company(documents: list[list[int]], limit: int, chosen: int) -> None:
    found = corpus(documents)
    if chosen >= len(found):
        return
    mine = found[chosen]
    alone = [(p.start, p.stop) for c in chunks([mine], limit) for p in c.pieces]
    together = [(p.start, p.stop) for c in chunks(found, limit) for p in c.pieces if p.prepared is mine]
    assert together == alone == [(p.start, p.stop) for p in pieces_of(mine, limit)]


@given(CORPUS, LIMITS)
def test_a_cut_document_carries_the_sentence_behind_the_cut(documents: list[list[int]], limit: int) -> None:
    for chunk in chunks(corpus(documents), limit):
        for number, piece in enumerate(chunk.pieces):
            sentences = chunk.index[chunk.piece_of == number].tolist()
            goes_on = piece.stop < len(piece.prepared.sentences)
            assert sentences == list(range(piece.start, piece.stop + goes_on))
        # Rows are made from the first tokens of a chunk: what is not stored must stand last.
        assert (np.diff(chunk.own.astype(int)) <= 0).all()


@given(CORPUS, LIMITS)
def test_the_arrays_of_a_chunk_fit_together(documents: list[list[int]], limit: int) -> None:
    for chunk in chunks(corpus(documents), limit):
        assert len(chunk.ids) == len(chunk.char_start) == len(chunk.char_end) == len(chunk.word)
        assert chunk.sentence_ptr[0] == 0
        assert chunk.sentence_ptr[-1] == len(chunk.ids)
        assert chunk.sentences == len(chunk.sentence_ptr) - 1 == len(chunk.piece_of) == len(chunk.own)
        assert [stop - start for start, stop in chunk.documents] == np.bincount(
            chunk.piece_of, minlength=len(chunk.pieces)
        ).tolist()
        assert (chunk.ids % 10_000 == chunk.char_start).all()


def test_a_prepared_document_holds_what_the_tokenizer_gives(mini: Engine) -> None:
    text = "A first one. A second one!"
    made = prepare(Document("d", "file:///d", text), mini.wordpiece)
    assert [text[s.start : s.stop] for s in made.sentences] == ["A first one.", "A second one!"]
    assert made.tokenized.n_tokens == 8


def test_a_chunk_takes_the_same_memory_whatever_the_width() -> None:
    sizes = [chunk_tokens(width) * width for width in (100, 384, 768, 1024)]
    assert max(sizes) - min(sizes) < 1024
    assert chunk_tokens(10**6) == 4096
