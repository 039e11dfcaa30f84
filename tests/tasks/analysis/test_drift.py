"""Measures of change have the definitions of the field, and grow with a change that was planted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from polyseme.tasks.analysis.change import Slice, slices_of_word
from polyseme.tasks.analysis.drift import jensen_shannon, pairwise_distance, prototype_distance

SENSES = np.eye(24, dtype=np.float32)


def uses(counts: tuple[int, ...], *, seed: int, noise: float = 0.2) -> np.ndarray:
    """Vectors around one direction a sense, all shifted by what the uses of a word share."""
    random = np.random.default_rng(seed)
    sense = np.repeat(np.arange(len(counts)), counts)
    return (1 + 3 * SENSES[sense] + noise * random.standard_normal((len(sense), 24))).astype(np.float32)


def two_slices(first: tuple[int, ...], second: tuple[int, ...], *, seed: int = 0) -> list[Slice]:
    vectors = np.concatenate([uses(first, seed=seed), uses(second, seed=seed + 1)])
    slices = np.repeat([0, 1], [sum(first), sum(second)])
    return slices_of_word(vectors, slices, np.arange(len(vectors)), permutations=199)


def test_apd_and_prt_are_those_of_all_pairs_and_of_the_means() -> None:
    first, second = uses((3, 2), seed=1), uses((1, 3), seed=2)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    pairs = [1 - cosine(a, b) for a, b in itertools.product(first, second)]
    assert pairwise_distance(first, second) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert prototype_distance(first, second) == pytest.approx(1 - cosine(first.mean(0), second.mean(0)), abs=1e-6)


def test_jsd_is_the_distance_that_scipy_has_in_base_2() -> None:
    for first, second in (([90, 6, 1, 0], [79, 13, 0, 2]), ([1, 2], [3, 1]), ([5], [7]), ([0, 4], [3, 0])):
        assert jensen_shannon(first, second) == pytest.approx(jensenshannon(first, second, base=2), abs=1e-7)
    assert jensen_shannon([1, 0], [0, 1]) == 1
    assert np.isnan(jensen_shannon([0, 0], [1, 1]))


def test_every_measure_grows_with_the_change_that_was_planted() -> None:
    found = [two_slices((40, 20), (40 - moved, 20 + moved))[1].to_previous for moved in (0, 10, 20, 30, 40)]
    for name in ("apd", "prt", "jsd", "apd_corrected"):
        values = [getattr(change, name) for change in found]
        assert values == sorted(values), name
        assert values[-1] > values[0] + 0.01, name
    assert found[-1] is not None
    assert found[-1].p == pytest.approx(1 / 200)


def test_a_slice_has_its_share_of_each_sense_and_senses_are_the_same_in_all() -> None:
    one, two = two_slices((30, 10), (10, 30))
    assert (one.occurrences, two.occurrences) == (40, 40)
    assert one.shares == pytest.approx((0.75, 0.25)) or one.shares == pytest.approx((0.25, 0.75))
    assert two.shares == pytest.approx(one.shares[::-1])
    assert one.to_previous is None
    assert two.to_previous == two.to_first


def test_later_slices_are_compared_with_the_one_before_and_with_the_first() -> None:
    vectors = np.concatenate([uses(c, seed=i) for i, c in enumerate(((40, 0), (20, 20), (0, 40)))])
    slices = np.repeat([0, 2, 5], 40)  # without what is empty
    _, middle, last = slices_of_word(vectors, slices, np.arange(120), permutations=99)
    assert (middle.number, last.number) == (2, 5)
    assert last.to_first is not None
    assert last.to_previous is not None
    assert last.to_first.apd > last.to_previous.apd
    assert last.to_first.jsd == pytest.approx(1)


def test_no_occurrences_have_no_slices_and_one_has_no_spread() -> None:
    nothing = np.empty(0, np.int64)
    assert slices_of_word(np.empty((0, 24), np.float32), nothing, nothing) == []
    vectors = uses((2,), seed=0)
    one, other = slices_of_word(vectors, np.array([0, 1]), np.array([0, 1]))
    assert np.isnan(one.spread)
    assert other.to_previous is not None
    assert np.isnan(other.to_previous.p)
    assert other.to_previous.apd > 0
