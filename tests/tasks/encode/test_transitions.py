"""Transitions are the steps from sentence to sentence; the baseline has pairs that are none."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.transitions import (
    BASELINE_LEAST,
    BASELINE_MOST,
    adjacent_pairs,
    cosines,
    random_pairs,
    transitions,
)
from polyseme.tasks.text.chunks import Chunk, chunks
from polyseme.tasks.text.passages import Passage

CORPUS = st.lists(st.integers(0, 12), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**48)


def chunks_of(counts: list[int], limit: int = 10_000) -> list[Chunk]:
    """Return chunks of documents with these numbers of sentences, of one token each."""

    def passage(name: int, count: int) -> Passage:
        place = np.arange(count, dtype=np.int64)
        return Passage(
            Document(str(name), "file:///x", "a " * count),
            first=0,
            last=True,
            language="",
            spans=np.stack([2 * place, 2 * place + 1], axis=1),
            lengths=np.ones(count, np.int64),
            ids=place.astype(np.int32),
            char_start=2 * place,
            char_end=2 * place + 1,
            word=np.zeros(count, np.int32),
            last_word=np.zeros(count, np.int32),
        )

    return list(chunks([passage(name, count) for name, count in enumerate(counts)], limit))


def places(chunk: Chunk, sentences: Ints) -> list[tuple[str, int]]:
    """Return document and number of each of these sentences of a chunk."""
    return [(chunk.slices[chunk.slice_of[s]].document.doc_id, int(chunk.index[s])) for s in sentences.tolist()]


@given(CORPUS, st.integers(1, 9))
def test_every_step_of_every_document_is_scored_once_however_it_is_cut(counts: list[int], limit: int) -> None:
    steps: list[tuple[tuple[str, int], tuple[str, int]]] = []
    for chunk in chunks_of(counts, limit):
        pairs = adjacent_pairs(chunk)
        steps += zip(places(chunk, pairs.first), places(chunk, pairs.second), strict=True)
    expected = [
        ((str(name), a), (str(name), b)) for name, count in enumerate(counts) for a, b in pairwise(range(count))
    ]
    assert steps == expected


@given(CORPUS, st.integers(1, 9), SEEDS)
def test_no_random_pair_is_a_transition_a_sentence_twice_or_a_duplicate(
    counts: list[int], limit: int, seed: int
) -> None:
    for chunk in chunks_of(counts, limit):
        pairs = random_pairs(chunk, 40, seed)
        drawn = list(zip(places(chunk, pairs.first), places(chunk, pairs.second), strict=True))
        assert len(drawn) <= 40
        assert len(set(drawn)) == len(drawn)
        documents = {chunk.slices[chunk.slice_of[s]].document.doc_id for s in np.flatnonzero(chunk.own)}
        for (doc_a, a), (doc_b, b) in drawn:
            assert (doc_a != doc_b) if len(documents) > 1 else (b - a not in (0, 1))


@given(CORPUS, SEEDS)
def test_the_same_seed_draws_the_same_pairs(counts: list[int], seed: int) -> None:
    for chunk in chunks_of(counts):
        one, two = random_pairs(chunk, 40, seed), random_pairs(chunk, 40, seed)
        assert one.first.tolist() == two.first.tolist()
        assert one.second.tolist() == two.second.tolist()


def test_another_seed_draws_other_pairs() -> None:
    (chunk,) = chunks_of([50, 50])
    drawn = {tuple(random_pairs(chunk, 32, seed).first.tolist()) for seed in range(20)}
    assert len(drawn) == 20


def test_only_sentences_that_are_stored_here_are_drawn() -> None:
    first, *_ = chunks_of([30], limit=10)
    assert not first.own.all()
    pairs = random_pairs(first, 1000, 0)
    assert first.own[pairs.first].all()
    assert first.own[pairs.second].all()


def test_the_baseline_grows_with_the_text_within_bounds() -> None:
    sizes = []
    for count in (100, 1000, 8000):
        (chunk,) = chunks_of([count, count], limit=16_000)
        scored = transitions(chunk, 0)
        assert scored.adjacent == 2 * (count - 1)
        sizes.append(len(scored.pairs) - scored.adjacent)
    assert sizes == [BASELINE_LEAST, 200, BASELINE_MOST]


def test_a_text_without_a_step_has_no_baseline_either() -> None:
    (chunk,) = chunks_of([1, 1, 1, 0])
    assert len(transitions(chunk, 0).pairs) == 0


def test_cosine_is_that_of_the_pair_and_zero_for_a_zero_vector() -> None:
    vectors = np.array([[3, 4], [6, 8], [-4, 3], [-3, -4], [0, 0]], dtype=np.float32)
    first, second = np.array([0, 0, 0, 0, 4]), np.array([1, 2, 3, 4, 4])
    np.testing.assert_allclose(cosines(vectors, first, second), [1, 0, -1, 0, 0], atol=1e-6)
