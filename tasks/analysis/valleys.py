"""Valleys: the depth of each transition in a curve of NSP margins, and the breaks of a text that has no vectors.

TextTiling's depth score (Hearst 1997) over NSP margins instead of word overlap: how far a transition lies below the
peaks on both sides. Knows no text: one margin per transition, in reading order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

MARGIN_MOST = 2.0
"""Margins (log-odds of *is next*) are clipped here: above it NSP is sure, and differences say nothing about topics."""
DEVIATIONS = 1.25
"""A valley is deeper than the mean depth of its document by more than this many standard deviations."""


def depths(margins: Doubles) -> Doubles:
    """Return `(transitions,)`: depth in log-odds, at least 0; 0 for a margin of NaN (not scored)."""
    scored = np.flatnonzero(~np.isnan(margins))
    depth = np.zeros(len(margins))
    scores = np.minimum(margins[scored], MARGIN_MOST)
    depth[scored] = _climbs(scores) + _climbs(scores[::-1])[::-1]
    return depth


def valleys(margins: Doubles) -> npt.NDArray[np.bool_]:
    """Return `(transitions,)`: True at deep valleys. None has a margin of NaN, or of 0 or more (a continuation)."""
    scored = np.flatnonzero(~np.isnan(margins))
    found = np.zeros(len(margins), bool)
    if len(scored):
        scores, depth = margins[scored], depths(margins)[scored]
        deep = depth > depth.mean() + DEVIATIONS * depth.std()
        found[scored] = deep & _has_no_lower_neighbour(scores) & (scores < 0)
    return found


def _climbs(scores: Doubles) -> Doubles:
    """Return the climb from each score to the left, as long as scores do not fall."""
    climbs = np.zeros(len(scores))
    for i in range(1, len(scores)):
        if scores[i - 1] >= scores[i]:
            climbs[i] = scores[i - 1] - scores[i] + climbs[i - 1]
    return climbs


def _has_no_lower_neighbour(scores: Doubles) -> npt.NDArray[np.bool_]:
    """Return True at the foot of each slope."""
    padded = np.concatenate([[np.inf], scores, [np.inf]])
    return (scores <= padded[:-2]) & (scores <= padded[2:])
