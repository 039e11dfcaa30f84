"""Agreement of encodings: 1 for what is the same but for a rotation, about chance for what is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from polyseme.tasks.analysis.agreement import neighbour_overlap, similarity_correlation

RNG = np.random.default_rng(0)
FIRST = RNG.standard_normal((60, 8)).astype(np.float32)
SECOND = RNG.standard_normal((60, 12)).astype(np.float32)


def test_a_rotation_changes_neither_neighbours_nor_similarities() -> None:
    rotation = np.linalg.qr(RNG.standard_normal((8, 8)))[0].astype(np.float32)
    assert neighbour_overlap(FIRST, 3 * FIRST @ rotation) == 1
    assert similarity_correlation(FIRST, 3 * FIRST @ rotation) == pytest.approx(1, abs=1e-5)


def test_what_has_nothing_in_common_agrees_as_chance_does() -> None:
    assert neighbour_overlap(FIRST, SECOND) == pytest.approx(10 / 59, abs=0.05)
    assert abs(similarity_correlation(FIRST, SECOND)) < 0.1


def test_the_correlation_is_spearmans_with_ties() -> None:
    first, second = FIRST.round(), np.repeat(SECOND[:30], 2, axis=0)
    pairs = np.triu_indices(60, 1)

    def cosines(vectors: np.ndarray) -> np.ndarray:
        scaled = vectors / np.linalg.norm(vectors, axis=1)[:, None]
        return (scaled @ scaled.T)[pairs]

    wanted = spearmanr(cosines(first), cosines(second)).statistic
    assert similarity_correlation(first, second) == pytest.approx(wanted, abs=1e-3)


def test_too_few_rows_have_no_agreement() -> None:
    assert math.isnan(neighbour_overlap(FIRST[:10], SECOND[:10]))
    assert math.isnan(similarity_correlation(FIRST[:2], SECOND[:2]))
