"""Sentence similarity: the rank correlation of cosine and grade, on pairs that counting words does not grade."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.evaluation import default_data
from polyseme.tasks.evaluation.similarity_probe import GradedPair, rank_correlation, read_graded_pairs, similarity

SHIPPED = default_data() / "similarity.jsonl"


def test_the_rank_correlation_is_that_of_scipy_with_ties_too() -> None:
    random = np.random.default_rng(0)
    for levels in (3, 1000):
        one, two = random.integers(0, levels, (2, 200)).astype(np.float64)
        assert rank_correlation(one, one + two) == pytest.approx(spearmanr(one, one + two)[0])
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([-1.0, -5.0, -100.0])) == pytest.approx(-1)


def test_grades_that_are_all_equal_or_missing_have_no_correlation(mini: Engine) -> None:
    assert similarity(mini, [GradedPair("It rained.", "It poured.", 5), GradedPair("He ran.", "We ate.", 5)]) is None
    assert similarity(mini, []) is None


def test_pairs_are_compared_with_each_other_in_their_order(mini: Engine) -> None:
    same, related = GradedPair("The cat slept.", "The cat slept.", 5), GradedPair("The cat slept.", "A dog barked.", 2)
    unrelated = GradedPair("The cat slept.", "Parliament raised the tax on imported steel.", 0)
    assert similarity(mini, [related, same, unrelated]) == pytest.approx(1)


def test_the_shipped_pairs_are_distinct_and_of_every_grade() -> None:
    pairs = read_graded_pairs(SHIPPED)
    sentences = [sentence for pair in pairs for sentence in (pair.one, pair.two)]
    assert len(pairs) == 226
    assert len(set(sentences)) == len(sentences)
    assert min(Counter(pair.grade for pair in pairs)[grade] for grade in range(6)) >= 30


def test_counting_common_words_does_not_grade_the_shipped_pairs() -> None:
    pairs = read_graded_pairs(SHIPPED)
    words = [tuple(set(re.findall(r"\w+", text.lower())) for text in (pair.one, pair.two)) for pair in pairs]
    common = np.array([len(one & two) / len(one | two) for one, two in words])
    found = rank_correlation(common, np.array([pair.grade for pair in pairs]))
    assert found is not None
    assert found < 0.3


@pytest.mark.parametrize("line", ['{"one": "a", "two": "b"}', '{"one": "a", "two": "b", "grade": NaN}', "[1]", "{"])
def test_a_bad_line_of_graded_pairs_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"one": "a", "two": "b", "grade": 3}}\n\n{line}\n')
    with pytest.raises(UsageError, match=r"line 3 of .*pairs\.jsonl"):
        read_graded_pairs(path)


def test_a_set_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    for name in ("none.jsonl", "latin.jsonl"):
        with pytest.raises(UsageError, match=f"Cannot read the graded pairs .*{name}"):
            read_graded_pairs(tmp_path / name)
