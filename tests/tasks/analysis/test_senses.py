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


@pytest.mark.parametrize("sizes", [(60, 5), (80, 12, 6)])
def test_rare_groups_are_found(sizes: tuple[int, ...]) -> None:
    vectors, labels = groups(*sizes)
    assert (find_senses(vectors).sense == labels + 1).all()


def test_sentences_tell_apart_what_words_do_not() -> None:
    sentences, labels = groups(20, 12, noise=0.5)
    words = np.random.default_rng(1).standard_normal((32, 16)).astype(np.float32)
    assert (find_senses(words, sentences).sense == labels + 1).all()


@pytest.mark.parametrize("width", [32, 16])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_as_many_senses_are_found_as_there_are_with_sentences_of_any_width(number: int, width: int) -> None:
    sizes = range(20, 20 - 3 * number, -3)
    words, labels = groups(*sizes, noise=0.8)
    sentences, _ = groups(*sizes, noise=0.8, seed=1)
    assert (find_senses(words, sentences[:, :width]).sense == labels + 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_word_of_one_sense_has_one_whatever_its_sentences_are_about(seed: int) -> None:
    random = np.random.default_rng(seed)
    about = 0.3 * random.standard_normal((90, 8)) @ random.standard_normal((8, 32))
    words, sentences = (3 + about + random.standard_normal((90, 32)) for _ in range(2))
    assert set(find_senses(words.astype(np.float32), sentences.astype(np.float32)).sense) == {1}


def test_the_order_of_occurrences_changes_no_group() -> None:
    vectors, _ = groups(25, 14, 9, noise=1.0)
    order = np.random.default_rng(2).permutation(len(vectors))
    assert (find_senses(vectors[order]).sense == find_senses(vectors).sense[order]).all()


def test_the_same_input_gives_the_same_senses() -> None:
    vectors, _ = groups(30, 20, noise=1.5)
    first, second = find_senses(vectors), find_senses(vectors)
    assert (first.sense == second.sense).all()
    assert (first.typicality == second.typicality).all()


def test_every_sense_has_three_occurrences() -> None:
    vectors, _ = groups(20, 2, 1)
    assert np.bincount(find_senses(vectors).sense)[1:].min() >= 3


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


def test_a_word_that_is_the_only_one_beside_it_sets_no_sense_apart() -> None:
    assert distinguishing([["again"]] * 6, [1] * 6, most=3) == {1: []}
    assert distinguishing([["again"]] * 6, [1] * 3 + [2] * 3, most=3) == {1: [], 2: []}
