"""The order score is a permutation test: 0 on average over all orders, high for a text whose neighbours are alike."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from polyseme.tasks.analysis.order import order_score


def walk(count: int, width: int = 16, seed: int = 0) -> np.ndarray:
    """Return vectors that change little from one to the next."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(count, width)), axis=0)


@pytest.mark.parametrize("width", [3, 16])  # more sentences than dimensions, and fewer
def test_over_all_orders_the_mean_is_0_and_the_deviation_1(width: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(6, width))
    scores = [order_score(vectors[list(order)]) for order in permutations(range(6))]
    assert np.mean(scores) == pytest.approx(0, abs=1e-9)
    assert np.std(scores) == pytest.approx(1, abs=1e-9)


def test_a_text_that_moves_slowly_scores_far_above_its_shuffles_and_like_its_reverse() -> None:
    vectors = walk(40)
    shuffled = vectors[np.random.default_rng(2).permutation(40)]
    assert order_score(vectors) > 3 > abs(order_score(shuffled))
    assert order_score(vectors) == pytest.approx(order_score(vectors[::-1]))


def test_too_few_sentences_or_equal_ones_have_no_score() -> None:
    assert np.isnan(order_score(walk(3)))
    assert np.isnan(order_score(np.ones((9, 4))))
    assert np.isnan(order_score(np.zeros((9, 4))))
