"""Means over tokens: of a word, and of a sentence with the special tokens of its own windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.pooling import segment_sums, sentence_vectors, word_vectors
from polyseme.tasks.model.encoded import Encoded

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=30)


def pointer(lengths: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def vectors(count: int) -> Floats:
    return np.random.default_rng(count).standard_normal((count, 5)).astype(np.float32)


@given(LENGTHS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_segments_have_the_same_sums_in_any_order_with_gaps_and_empty_ones(
    lengths: list[int], random: object, behind: int
) -> None:
    ptr = pointer(lengths)
    rows = vectors(int(ptr[-1]) + behind)
    order = np.array(random.sample(range(len(lengths)), (len(lengths) + 1) // 2))  # type: ignore[attr-defined]
    sums = segment_sums(rows, ptr[order], ptr[order + 1])
    for got, i in zip(sums, order, strict=True):
        np.testing.assert_allclose(got, rows[ptr[i] : ptr[i + 1]].sum(axis=0), atol=1e-5)


@given(LENGTHS)
def test_the_sum_of_a_segment_does_not_depend_on_the_others(lengths: list[int]) -> None:
    ptr = pointer(lengths)
    rows = vectors(int(ptr[-1]))
    sums = segment_sums(rows, ptr[:-1], ptr[1:])
    for i, got in enumerate(sums):
        alone = segment_sums(rows[ptr[i] : ptr[i + 1]], np.array([0]), np.array([lengths[i]]))
        assert (alone[0] == got).all()


@given(st.lists(st.integers(1, 6), max_size=30))
def test_a_word_is_the_mean_of_its_tokens(lengths: list[int]) -> None:
    ptr = pointer(lengths)
    rows = vectors(int(ptr[-1]))
    words = word_vectors(rows, ptr[:-1], ptr[1:])
    assert words.dtype == np.float16
    assert words.shape == (len(lengths), 5)
    for word, start, stop in zip(words, ptr[:-1], ptr[1:], strict=True):
        np.testing.assert_allclose(word.astype(float), rows[start:stop].mean(axis=0), atol=2e-3)
        if stop - start == 1:
            assert (word == rows[start].astype(np.float16)).all()


def test_more_words_than_are_pooled_at_once_keep_their_order() -> None:
    rows = vectors(20_000)
    starts = np.arange(0, 20_000, 1, dtype=np.int64)[::-1]
    assert (word_vectors(rows, starts, starts + 1) == rows[::-1].astype(np.float16)).all()


def test_a_sentence_is_the_mean_over_its_tokens_and_the_special_tokens_of_its_own_windows() -> None:
    rows, first, final = vectors(5), vectors(3)[:3], vectors(4)[:3]
    alone = np.array([True, False, True])
    first[~alone] = final[~alone] = 0
    ptr = pointer([2, 3, 0])
    encoded = Encoded(rows, first, final, alone, np.empty((0, 2), dtype=np.float32))
    own, shared, empty = sentence_vectors(encoded, ptr, "mean")
    np.testing.assert_allclose(own, (rows[:2].sum(axis=0) + first[0] + final[0]) / 4, rtol=1e-6)
    np.testing.assert_allclose(shared, rows[2:].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(empty, (first[2] + final[2]) / 2, rtol=1e-6)
    assert (sentence_vectors(encoded, ptr, "cls") == first).all()
