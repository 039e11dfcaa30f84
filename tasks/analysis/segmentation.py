"""Segmentation: topic breaks of a text, by the depth of the valleys in its coherence curve.

TextTiling's depth score (Hearst 1997) over NSP margins instead of word overlap: how far a transition lies below the
peaks on both sides. Knows no text: one margin per transition, in reading order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

MARGIN_MOST = 2.0
"""Margins (log-odds of *is next*) are clipped here: above it NSP is sure, and differences say nothing about topics."""
DEVIATIONS = 1.25
"""A break is deeper than the mean depth of its document by more than this many standard deviations.

Both were chosen on 60 spliced texts; `benchmarks/coherence_quality.py` measures them on others."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """One row per transition: `depth` in log-odds, at least 0, and whether the text breaks there."""

    depth: Doubles
    is_break: npt.NDArray[np.bool_]


def breaks(margins: Doubles) -> Breaks:
    """Return depth and breaks of one document's transitions, `(transitions,)`. A margin of NaN (no score) is no break.

    Nor is one of 0 or more, which NSP takes for a continuation, so a coherent text may have no break.
    """
    scored = np.flatnonzero(~np.isnan(margins))
    depth = np.zeros(len(margins))
    depth[scored] = _depths(np.minimum(margins[scored], MARGIN_MOST))
    is_break = np.zeros(len(margins), bool)
    if len(scored):
        found = depth[scored]
        deep = found > found.mean() + DEVIATIONS * found.std()
        is_break[scored] = deep & _is_valley(margins[scored]) & (margins[scored] < 0)
    return Breaks(depth, is_break)


def _depths(scores: Doubles) -> Doubles:
    """Return for each score the climb to the peak on its left plus the climb to the peak on its right."""
    return _climbs(scores) + _climbs(scores[::-1])[::-1]


def _climbs(scores: Doubles) -> Doubles:
    """Return the climb from each score to the left, as long as scores do not fall."""
    climbs = np.zeros(len(scores))
    for i in range(1, len(scores)):
        if scores[i - 1] >= scores[i]:
            climbs[i] = scores[i - 1] - scores[i] + climbs[i - 1]
    return climbs


def _is_valley(scores: Doubles) -> npt.NDArray[np.bool_]:
    """Return True for scores without a lower neighbour: of a long slope only the foot is a break."""
    padded = np.concatenate([[np.inf], scores, [np.inf]])
    return (scores <= padded[:-2]) & (scores <= padded[2:])
