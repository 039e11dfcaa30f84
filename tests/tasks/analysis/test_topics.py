"""Topics of vectors: as many as there are groups, the same every time, and near what they were where they start."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from polyseme.tasks.analysis.topics import find_topics, matched
from polyseme.tasks.arrays import Floats, Ints, unit


def groups(sizes: list[int], *, width: int = 16, spread: float = 0.25, seed: int = 0) -> tuple[Floats, Ints]:
    """Return vectors in groups around random directions, all of them also around one that they share."""
    draw = np.random.default_rng(seed)
    centres = unit(draw.standard_normal((len(sizes), width)))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    own = draw.standard_normal((len(labels), width)) * spread / np.sqrt(width)
    return (3 * np.eye(width)[0] + centres[labels] + own).astype(np.float32), labels


@pytest.mark.parametrize("number", [2, 5, 9])
def test_groups_that_are_apart_are_found_and_counted(number: int) -> None:
    vectors, labels = groups([30 + i for i in range(number)])
    found = find_topics(vectors)
    assert len(found.directions) == number
    assert adjusted_rand_score(labels, found.labels) == 1.0
    assert found.similarity.min() > 0.5


def test_the_same_vectors_give_the_same_bits_and_another_seed_may_not() -> None:
    vectors, _ = groups([50] * 4, spread=3.0)
    one, other = find_topics(vectors, number=6), find_topics(vectors, number=6)
    assert one.directions.tobytes() == other.directions.tobytes()
    assert one.labels.tolist() == other.labels.tolist()
    assert find_topics(vectors, number=6, seed=1).directions.tobytes() != one.directions.tobytes()


def test_the_length_of_vectors_makes_no_difference() -> None:
    vectors, labels = groups([40, 30, 20])
    lengths = np.random.default_rng(1).uniform(0.5, 4, (len(vectors), 1)).astype(np.float32)
    assert adjusted_rand_score(labels, find_topics(vectors * lengths).labels) == 1.0


def test_a_search_from_topics_that_there_are_stays_near_them_and_finds_a_new_group() -> None:
    vectors, labels = groups([60, 50, 40])
    old = labels[:110]
    before = np.concatenate([old, np.full(40, -1)])
    found = find_topics(vectors, before=before)
    assert len(found.directions) == 3
    assert found.labels[:60].tolist() == [0] * 60
    assert found.labels[60:110].tolist() == [1] * 50
    assert matched(before, found.labels) == {0: 0, 1: 1}


def test_more_documents_than_are_fitted_all_get_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.analysis.topics.FITTED_MOST", 50)
    vectors, labels = groups([100, 80])
    assert adjusted_rand_score(labels, find_topics(vectors).labels) == 1.0


@pytest.mark.parametrize("vectors", [np.ones((1, 4)), np.ones((7, 4)), np.zeros((3, 4)), np.eye(4)[:2]])
def test_vectors_that_are_few_or_all_alike_have_topics_too(vectors: Floats) -> None:
    found = find_topics(vectors.astype(np.float32))
    assert len(found.labels) == len(vectors)
    assert np.isfinite(found.directions).all()
    assert find_topics(vectors.astype(np.float32), number=1).labels.tolist() == [0] * len(vectors)


def test_clusters_are_the_same_if_most_documents_of_either_are_in_both() -> None:
    before = np.array([0] * 6 + [1] * 6 + [-1] * 4)
    after = np.array([2] * 5 + [0] + [0] * 3 + [1] * 3 + [1] * 4)
    assert matched(before, after) == {2: 0}  # of 1 half is in 0 and half in 1


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_no_two_clusters_are_the_same_one(pairs: list[tuple[int, int]]) -> None:
    before, after = np.array(pairs).T
    after = np.unique(after, return_inverse=True)[1]
    found = matched(before, after)
    assert len(set(found.values())) == len(found)
    for new, old in found.items():
        common = ((before == old) & (after == new)).sum()
        assert 2 * common > ((before == old) | ((after == new) & (before >= 0))).sum()
