"""The test of a change has the p that it says where nothing changed, also if documents differ, and finds changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest

from polyseme.tasks.analysis import permutation
from polyseme.tasks.analysis.drift import pairwise_distance, spread
from polyseme.tasks.analysis.permutation import Units, adjusted, change_test, corrected_distance, units_of

WIDTH = 16


def documents(
    seed: int, count: int, *, topics: float, shift: float = 0.0, each: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Uses of a word in documents with a topic each, which differ by `topics`; `shift` moves all of them."""
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(count), random.integers(1, 2 * each, count))
    centres = topics * random.standard_normal((count, WIDTH))
    vectors = 2 + centres[number] + 0.5 * random.standard_normal((len(number), WIDTH))
    return (vectors + shift * np.eye(WIDTH)[0]).astype(np.float32), number


def p_values(topics: float, *, shift: float = 0.0, by_document: bool = True, tests: int = 120) -> np.ndarray:
    found = []
    for seed in range(tests):
        first, of = documents(2 * seed, 8, topics=topics)
        second, other_of = documents(2 * seed + 1, 8, topics=topics, shift=shift)
        if not by_document:
            of, other_of = np.arange(len(first)), np.arange(len(second))
        found.append(change_test(first, second, of, other_of, permutations=99).p)
    return np.array(found)


def test_p_is_uniform_where_nothing_changed_also_if_documents_have_topics() -> None:
    for topics in (0.0, 0.5):
        assert kstest(p_values(topics), "uniform").pvalue > 0.01


def test_occurrences_that_are_shuffled_one_by_one_would_find_changes_that_are_documents() -> None:
    assert (p_values(0.5, by_document=False) <= 0.05).mean() > 0.4
    assert (p_values(0.5) <= 0.05).mean() < 0.12


def test_a_change_has_a_small_p() -> None:
    assert (p_values(0.5, shift=3.0, tests=20) <= 0.02).all()


def test_p_counts_the_shufflings_that_reach_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    first, of = documents(0, 3, topics=0.5)
    second, other_of = documents(1, 3, topics=0.5)
    one, other = units_of(first, of), units_of(second, other_of)
    both = Units(np.concatenate([one.sums, other.sums]), np.concatenate([one.counts, other.counts]))
    observed, reached = corrected_distance(one, other), 0
    orders = list(itertools.combinations(range(6), 3))
    for chosen in orders:
        rest = [i for i in range(6) if i not in chosen]
        parts = (Units(both.sums[list(rows)], both.counts[list(rows)]) for rows in (chosen, rest))
        reached += corrected_distance(*parts) >= observed - 1e-12
    p = change_test(first, second, of, other_of, permutations=4000).p
    assert p == pytest.approx(reached / len(orders), abs=0.03)
    monkeypatch.setattr(permutation, "_ENTRIES_AT_ONCE", 6 * 7)  # in blocks of seven shufflings
    assert change_test(first, second, of, other_of, permutations=20_000).p == pytest.approx(p, abs=0.03)


def test_the_corrected_distance_is_apd_less_the_spread_of_both_slices() -> None:
    first, _ = documents(0, 5, topics=1.0)
    second, _ = documents(1, 5, topics=1.0, shift=2.0)
    alone = [units_of(vectors, np.arange(len(vectors))) for vectors in (first, second)]
    expected = pairwise_distance(first, second) - (spread(first) + spread(second)) / 2
    assert corrected_distance(*alone) == pytest.approx(expected, abs=1e-9)


def test_the_corrected_distance_is_0_on_average_however_few_occurrences_there_are() -> None:
    for count in (2, 4, 20):
        found = []
        for seed in range(300):
            parts = [documents(2 * seed + i, count, topics=0.5) for i in (0, 1)]
            found.append(corrected_distance(*(units_of(*part) for part in parts)))
        assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_sums_of_many_units_and_products_of_few_give_the_same() -> None:
    for count in (4, 40):  # fewer and more units than a vector has numbers
        first, of = documents(0, count, topics=0.5)
        second, other_of = documents(1, count, topics=0.5)
        one, other = units_of(first, of), units_of(second, other_of)
        unequal = of[:, None] != of[None]
        rows = first / np.linalg.norm(first, axis=1, keepdims=True)
        others = second / np.linalg.norm(second, axis=1, keepdims=True)
        within = 1 - (rows @ rows.T)[unequal].mean()
        other_within = 1 - (others @ others.T)[other_of[:, None] != other_of[None]].mean()
        expected = 1 - (rows @ others.T).mean() - (within + other_within) / 2
        assert corrected_distance(one, other) == pytest.approx(expected, abs=1e-6)


def test_occurrences_change_slices_if_a_slice_is_one_document() -> None:
    first, of = documents(0, 1, topics=0.0, each=9)
    second, other_of = documents(1, 6, topics=0.0)
    assert change_test(first, second, of, other_of, permutations=9).exchanged == "occurrences"
    assert change_test(second, second, other_of, other_of, permutations=9).exchanged == "documents"


def test_the_same_question_has_the_same_answer() -> None:
    first, of = documents(0, 6, topics=0.5)
    second, other_of = documents(1, 6, topics=0.5)
    assert change_test(first, second, of, other_of) == change_test(first, second, of, other_of)
    assert np.isnan(change_test(first, second, of, other_of, permutations=0).p)


def test_adjusted_p_are_those_of_benjamini_and_hochberg() -> None:
    given = np.random.default_rng(0).uniform(0, 0.2, 30)
    assert adjusted(given) == pytest.approx(false_discovery_control(given))
    assert np.isnan(adjusted([0.01, np.nan, 0.03])).tolist() == [False, True, False]
    assert adjusted([0.01, np.nan, 0.03])[[0, 2]] == pytest.approx([0.02, 0.03])
    assert len(adjusted([])) == 0
