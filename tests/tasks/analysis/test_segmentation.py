"""Breaks are the deep valleys of a coherence curve; a coherent text has none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.analysis.segmentation import breaks


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
