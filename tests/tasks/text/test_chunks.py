"""Chunks store every sentence once, within their limit, and cut a document independently of the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.text.chunks import Chunk, chunk_tokens, chunks, slices_of
from polyseme.tasks.text.passages import Passage

LENGTHS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 60)), max_size=15)
CORPUS = st.lists(LENGTHS, max_size=8)
LIMITS = st.integers(1, 80)
SENTENCES_PER_PASSAGE = st.integers(1, 16)


def whole(lengths: list[int], name: int = 0) -> Passage:
    """Return a document with sentences of these numbers of tokens. Ids identify document, sentence and token."""
    counts = np.array(lengths, np.int64)
    stops = np.cumsum(counts)
    place = np.arange(sum(lengths), dtype=np.int64)
    return Passage(
        Document(str(name), "file:///x", "." * sum(lengths)),
        first=0,
        last=True,
        language="",
        spans=np.stack([stops - counts, stops], axis=1),
        lengths=counts,
        ids=(10_000 * name + place).astype(np.int32),
        char_start=place,
        char_end=place + 1,
        word=(place - np.repeat(stops - counts, counts)).astype(np.int32),
        last_word=(place - np.repeat(stops - counts, counts)).astype(np.int32),
    )


def corpus(documents: list[list[int]], sentences: int = 100) -> Iterator[Passage]:
    """Yield documents in passages of at most so many sentences."""
    for name, lengths in enumerate(documents):
        one = whole(lengths, name)
        for start in range(0, max(1, len(one)), sentences):
            yield one.cut(start, min(start + sentences, len(one)))


def owned(chunk: Chunk) -> list[tuple[str, int, list[int]]]:
    """Return document, number and token ids of every sentence that this chunk stores."""
    return [
        (
            chunk.slices[chunk.slice_of[s]].document.doc_id,
            int(chunk.index[s]),
            chunk.ids[chunk.sentence_ptr[s] : chunk.sentence_ptr[s + 1]].tolist(),
        )
        for s in np.flatnonzero(chunk.own)
    ]


@given(CORPUS, LIMITS, SENTENCES_PER_PASSAGE)
def test_every_sentence_is_stored_once_in_order_with_its_tokens(
    documents: list[list[int]], limit: int, size: int
) -> None:
    expected = [(d.document.doc_id, i, d.cut(i, i + 1).ids.tolist()) for d in corpus(documents) for i in range(len(d))]
    assert [sentence for chunk in chunks(corpus(documents, size), limit) for sentence in owned(chunk)] == expected


@given(CORPUS, LIMITS, SENTENCES_PER_PASSAGE)
def test_every_document_ends_once_with_all_its_tokens_counted(
    documents: list[list[int]], limit: int, size: int
) -> None:
    found = [p for c in chunks(corpus(documents, size), limit) for p in c.slices]
    assert [(p.document.doc_id, p.stop, p.document_tokens) for p in found if p.ends] == [
        (str(name), len(lengths), sum(lengths)) for name, lengths in enumerate(documents)
    ]
    assert [p.document.doc_id for p in found if p.start == 0] == [str(name) for name in range(len(documents))]


@given(CORPUS, LIMITS)
def test_a_chunk_keeps_its_limit_or_stores_one_sentence(documents: list[list[int]], limit: int) -> None:
    for chunk in chunks(corpus(documents), limit):
        stored = [len(ids) for _, _, ids in owned(chunk)]
        assert sum(stored) <= limit or sum(length > 0 for length in stored) == 1


@given(st.integers(0, 60), LIMITS, st.integers(0, 60))
def test_sentences_and_documents_without_a_token_count_towards_the_limit(
    sentences: int, limit: int, documents: int
) -> None:
    for chunk in chunks(corpus([[0] * sentences, *([[]] * documents)]), limit):
        assert chunk.own.sum() <= limit
        assert len(chunk.slices) <= limit


@given(CORPUS, LIMITS, SENTENCES_PER_PASSAGE, st.integers(0, 7))
def test_a_document_is_cut_the_same_whatever_the_other_documents_and_its_passages(
    documents: list[list[int]], limit: int, size: int, chosen: int
) -> None:
    if chosen >= len(documents):
        return
    alone = [(p.start, p.stop) for p in slices_of([whole(documents[chosen])], limit)]
    together = [
        (p.start, p.stop)
        for c in chunks(corpus(documents, size), limit)
        for p in c.slices
        if p.document.doc_id == str(chosen)
    ]
    assert together == alone


@given(LENGTHS, LIMITS)
def test_a_slice_is_as_long_as_possible(lengths: list[int], limit: int) -> None:
    slices = list(slices_of([whole(lengths)], limit))
    for part, following in pairwise(slices):
        assert part.stop == following.start
        assert sum(max(1, length) for length in lengths[part.start : part.stop + 1]) > limit


@given(CORPUS, LIMITS, SENTENCES_PER_PASSAGE)
def test_a_cut_document_includes_the_sentence_after_the_cut(documents: list[list[int]], limit: int, size: int) -> None:
    for chunk in chunks(corpus(documents, size), limit):
        for number, part in enumerate(chunk.slices):
            sentences = chunk.index[chunk.slice_of == number].tolist()
            continues = part.stop < len(documents[int(part.document.doc_id)])
            assert continues is not part.ends
            assert sentences == list(range(part.start, part.stop + continues))
        # Rows are made from the first tokens of a chunk: the sentence that is not stored must be last.
        assert (np.diff(chunk.own.astype(int)) <= 0).all()


@given(CORPUS, LIMITS)
def test_the_arrays_of_a_chunk_fit_together(documents: list[list[int]], limit: int) -> None:
    for chunk in chunks(corpus(documents), limit):
        assert len(chunk.ids) == len(chunk.char_start) == len(chunk.char_end) == len(chunk.word)
        assert chunk.sentence_ptr[0] == 0
        assert chunk.sentence_ptr[-1] == len(chunk.ids)
        assert chunk.sentences == len(chunk.sentence_ptr) - 1 == len(chunk.slice_of) == len(chunk.own)
        assert [stop - start for start, stop in chunk.documents] == np.bincount(
            chunk.slice_of, minlength=len(chunk.slices)
        ).tolist()
        assert (chunk.ids % 10_000 == chunk.char_start).all()
        assert (chunk.spans[:, 1] - chunk.spans[:, 0] == np.diff(chunk.sentence_ptr)).all()


def test_a_chunk_takes_the_same_memory_whatever_the_width() -> None:
    sizes = [chunk_tokens(width) * width for width in (384, 768, 1024)]
    assert max(sizes) - min(sizes) < 1024
    assert chunk_tokens(64) == chunk_tokens(128) < 1.01 * chunk_tokens(384)
    assert chunk_tokens(10**6) == 4096
