"""Breaks are where the subject changes, or the deep valleys of a curve without vectors; a coherent text has none."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.analysis.segmentation import (
    COST,
    MARGIN_LEAST,
    MARGIN_MOST,
    PER_MARGIN,
    REACH,
    THRESHOLD,
    Scale,
    breaks,
)


def curve(*margins: float) -> np.ndarray:
    return np.array(margins, np.float64)


def test_a_lone_valley_is_a_break_of_its_full_depth() -> None:
    found = breaks(curve(1, 2, 1, -6, 1, 2, 1))
    assert found.is_break.nonzero()[0].tolist() == [3]
    assert found.depth[3] == 16  # from 2 down to -6 and up again, the peaks on either side


def test_a_text_of_continuations_by_nsp_does_not_break() -> None:
    assert not breaks(curve(9, 3, 8, 0.5, 9, 7)).is_break.any()


def test_of_a_long_slope_only_the_foot_breaks() -> None:
    found = breaks(curve(2, 2, 2, -1, -4, -8, 2, 2, 2, 2, 2, 2, 2))
    assert found.is_break.nonzero()[0].tolist() == [5]


def test_how_sure_nsp_is_of_a_continuation_makes_no_difference() -> None:
    assert (breaks(curve(9, -1, 30, 3)).depth == breaks(curve(3, -1, 4, 9)).depth).all()


def test_texts_of_no_and_one_transition_and_transitions_without_a_score() -> None:
    assert len(breaks(curve()).depth) == 0
    assert not breaks(curve(-5)).is_break.any()
    nothing = float("nan")
    found = breaks(curve(nothing, 2, 2, 2, -6, nothing, 2, 2, 2))
    assert found.is_break.nonzero()[0].tolist() == [4]
    assert found.depth[[0, 5]].tolist() == [0, 0]


@given(st.lists(st.floats(-20, 20, allow_nan=False), max_size=30))
def test_depth_is_never_negative_and_the_same_in_reverse(margins: list[float]) -> None:
    found, back = breaks(curve(*margins)), breaks(curve(*margins[::-1]))
    assert (found.depth >= 0).all()
    assert np.allclose(found.depth, back.depth[::-1])
    assert (found.depth[found.is_break] > 0).all()


def topics(*sizes: int, spread: float = 0.6, offset: float = 0.0, width: int = 64, seed: int = 0) -> np.ndarray:
    """Return sentence vectors of segments of these sizes. `offset` moves all of them away from the origin."""
    random = np.random.default_rng(seed)
    centres = np.linalg.qr(random.normal(size=(width, len(sizes) + 1)))[0].T
    noise = random.normal(size=(sum(sizes), width)) * spread / np.sqrt(width)
    return np.repeat(centres[:-1], sizes, axis=0) + noise + offset * centres[-1]


LAKE = Scale(unrelated=0.0, related=0.7)


def found(vectors: np.ndarray, scale: Scale = LAKE, margins: np.ndarray | None = None) -> list[int]:
    unscored = np.full(len(vectors) - 1, np.nan)
    return np.flatnonzero(breaks(unscored if margins is None else margins, vectors, scale).is_break).tolist()


def test_vectors_break_where_the_subject_changes_and_nowhere_else() -> None:
    assert found(topics(5, 8, 3, 11)) == [4, 12, 15]
    assert found(topics(40)) == []


def test_a_thousand_sentences_on_one_subject_stay_whole() -> None:
    assert found(topics(1000)) == []
    assert found(topics(1000, 4, 1000)) == [999, 1003]


def test_breaks_are_the_same_for_an_encoder_whose_cosines_are_all_high() -> None:
    assert found(topics(5, 8, 3, 11, offset=1.0), Scale(0.42, 0.82)) == [4, 12, 15]


def test_without_a_scale_of_the_lake_the_document_s_own_neighbours_are_one() -> None:
    assert found(topics(5, 8, 6, 11), Scale()) == [4, 12, 18]
    assert found(topics(30), Scale()) == []


def test_documents_that_resemble_each_other_do_not_make_a_text_of_one_subject_break() -> None:
    assert found(topics(20, spread=1.0), Scale(0.48, 0.5)) == []


@pytest.mark.parametrize("scale", [Scale(), Scale(1.0, 1.0), Scale(0.3, 0.6)], ids=str)
def test_one_sentence_repeated_does_not_break(scale: Scale) -> None:
    repeated = np.tile(np.random.default_rng(0).normal(size=384).astype(np.float32), (500, 1))
    assert not breaks(np.full(499, np.nan), repeated, scale).is_break.any()


def test_a_low_margin_makes_a_break_cheaper_and_a_high_one_dearer() -> None:
    vectors = topics(3, 3)
    low, high = np.full(5, 3.0), np.full(5, 3.0)
    low[2], high[2] = -9, 9
    assert found(vectors, margins=low) == [2]
    assert found(vectors, margins=high) == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_no_other_breaks_have_a_better_total_and_gains_agree_with_it(sizes: list[int], seed: int) -> None:
    vectors = topics(*sizes, spread=1.2, seed=seed)[:12]
    margins = np.random.default_rng(seed).normal(0, 4, len(vectors) - 1)
    result = breaks(margins, vectors, Scale(0.0, 0.5))
    assert (result.gain[result.is_break] >= -1e-9).all()
    assert (result.gain[~result.is_break] <= 1e-9).all()
    best = max(total(vectors, margins, np.array(marks, bool)) for marks in product([0, 1], repeat=len(margins)))
    assert total(vectors, margins, result.is_break) == pytest.approx(best)


def total(vectors: np.ndarray, margins: np.ndarray, is_break: np.ndarray) -> float:
    """Return what a segmentation is worth, pair by pair, as the module's docstring says."""
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    segment = np.concatenate([[0], np.cumsum(is_break)])
    costs = np.maximum(COST + PER_MARGIN * np.clip(margins, MARGIN_LEAST, MARGIN_MOST), 0)
    kept = sum(
        scaled[i] @ scaled[j] / 0.5 - THRESHOLD
        for i, j in combinations(range(len(vectors)), 2)
        if j - i <= REACH and segment[i] == segment[j]
    )
    return float(kept - costs[is_break].sum())


def test_vectors_and_margins_must_fit_together() -> None:
    with pytest.raises(ValueError, match="one more vector"):
        breaks(np.zeros(3), np.ones((3, 4)))
    assert len(breaks(np.zeros(0), np.ones((1, 4))).gain) == 0
