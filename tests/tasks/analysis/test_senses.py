"""Senses of a word are clusters of similar vectors, as many as there are, and one if there is no structure."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.tasks.analysis.drift import pairwise_distance, prototype_distance, spread
from polyseme.tasks.analysis.senses import distinguishing, find_senses, sense_map


def groups(*sizes: int, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 32 dimensions around one direction per group, all shifted by what the word's occurrences share."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    vectors = 3 + np.eye(32)[labels] * 4 + noise * random.standard_normal((len(labels), 32))
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("sizes", [(12, 8), (10, 9, 7), (15, 14, 13, 12)])
def test_groups_are_found_and_numbered_by_size(sizes: tuple[int, ...]) -> None:
    vectors, labels = groups(*sizes)
    found = find_senses(vectors)
    assert (found.sense == labels + 1).all()
    assert found.silhouette > 0.5
    assert (found.typicality > 0.5).all()


def test_one_cloud_is_one_sense() -> None:
    vectors = np.random.default_rng(0).standard_normal((60, 32)).astype(np.float32)
    found = find_senses(vectors)
    assert set(found.sense) == {1}
    assert np.isnan(found.silhouette)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_too_few_occurrences_are_one_sense(n: int) -> None:
    vectors, _ = groups(n)
    assert (find_senses(vectors).sense == 1).all()
    assert sense_map(vectors).shape == (n, 2)


def test_equal_vectors_are_one_sense() -> None:
    found = find_senses(np.full((20, 8), 0.123, np.float32))
    assert set(found.sense) == {1}
    assert np.isfinite(found.typicality).all()


def test_more_occurrences_than_are_fitted_all_get_a_sense() -> None:
    vectors, labels = groups(1200, 600)
    assert (find_senses(vectors).sense == labels + 1).all()


def test_the_map_keeps_groups_apart() -> None:
    vectors, labels = groups(10, 10)
    places = sense_map(vectors)
    assert (places[labels == 0, 0].max() < places[labels == 1, 0].min()) or (
        places[labels == 1, 0].max() < places[labels == 0, 0].min()
    )


def test_distinguishing_words_are_those_of_one_sense() -> None:
    wet = [["the", "river", "mud"], ["the", "river", "boat"], ["the", "mud", "river"]]
    dry = [["the", "loan", "clerk"], ["the", "loan", "money"], ["the", "clerk", "money"]]
    words = distinguishing(wet * 3 + dry * 3, [1] * 9 + [2] * 9, most=2)
    assert words[1][0] == "river"
    assert "the" not in words[1] + words[2]
    assert set(words[2]) <= {"loan", "clerk", "money"}


def test_distances_between_and_within() -> None:
    a, b = np.eye(4, dtype=np.float32)[[0, 0]], np.eye(4, dtype=np.float32)[[1, 0]]
    assert pairwise_distance(a, a) == pytest.approx(0)
    assert pairwise_distance(a, b) == pytest.approx(0.5)
    assert prototype_distance(a, b) == pytest.approx(1 - 2**-0.5)
    assert spread(a) == pytest.approx(0)
    assert spread(b) == pytest.approx(1)
    assert np.isnan(spread(a[:1]))
    assert np.isnan(pairwise_distance(a, a[:0]))
    assert np.isnan(prototype_distance(a[:0], a))
