"""Segmentation: topic breaks of a text, by dynamic programming over its sentence vectors and NSP margins.

Every pair of sentences at most REACH apart that stays in one segment contributes its similarity above a threshold, and
every break costs something, less where NSP doubts the continuation; the breaks with the best total are found exactly
(as Utiyama and Isahara 2001 do with words), in time O(sentences * REACH). Similarity is in units of the encoder: 0 for
sentences of unrelated texts, 1 for neighbours (`Scale`). Knows no text and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.analysis.valleys import depths, valleys
from polyseme.tasks.arrays import Floats, unit

Doubles = npt.NDArray[np.float64]

REACH = 7
"""Only pairs of sentences at most this far apart count, so that a text that moves slowly stays whole."""
THRESHOLD = 0.45
"""A pair speaks for a break if its similarity is below this."""
COST = 4.0
"""What a break costs where the NSP margin is 0 or missing."""
PER_MARGIN = 0.5
MARGIN_LEAST, MARGIN_MOST = -4.0, 6.0
"""What one unit of NSP margin (log-odds of *is next*) adds to the cost, and where margins are clipped."""
CONTRAST_LEAST, CONTRAST_USUAL = 0.18, 0.35
"""The least and the usual of (related - unrelated) / (1 - unrelated); see `Scale`.

All were chosen on spliced texts of one half of a corpus; `benchmarks/coherence_quality.py` measures them on others."""
RELATED_MOST = 0.9999
"""The most that `related` counts as: in a lake of one repeated sentence it is 1, and no cosine would be above zero."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean cosines of an encoding: of sentences of different documents, and of neighbours. NaN if not known.

    If the documents of a lake resemble each other, their contrast is small and `unrelated` is too high a zero: it is
    lowered until the contrast is CONTRAST_LEAST.
    """

    unrelated: float = np.nan
    related: float = np.nan

    def of(self, neighbours: Doubles) -> tuple[float, float]:
        """Return the cosines that count as 0 and as 1. `neighbours` of the document stand in for a missing mean."""
        related = float(np.mean(neighbours)) if np.isnan(self.related) else self.related
        related = min(related, RELATED_MOST)
        known = not np.isnan(self.unrelated)
        contrast = CONTRAST_LEAST if known else CONTRAST_USUAL
        most = (related - contrast) / (1 - contrast)
        unrelated = min(self.unrelated, most) if known else most
        return unrelated, max(related, unrelated + 1e-6)


@dataclass(frozen=True, slots=True)
class Breaks:
    """One row per transition: whether the text breaks there, and two measures of how clearly.

    `gain` is how much better the segmentation is with the break than without it, at least 0 at breaks and at most 0
    elsewhere; NaN without vectors. `depth` is the valley of the NSP margin in log-odds, at least 0.
    """

    depth: Doubles
    is_break: npt.NDArray[np.bool_]
    gain: Doubles


def breaks(margins: Doubles, vectors: Floats | None = None, scale: Scale = Scale()) -> Breaks:
    """Return the breaks of one document with NSP margins `(transitions,)` and vectors `(transitions + 1, width)`.

    A margin of NaN is a pair that was not scored. Without vectors the breaks are the deep valleys of the margins.
    """
    depth = depths(margins)
    if vectors is None:
        return Breaks(depth, valleys(margins), np.full(len(margins), np.nan))
    if len(vectors) != len(margins) + 1:
        raise ValueError(f"expected one more vector than margins, got {len(vectors)} and {len(margins)}")
    if not len(margins):
        return Breaks(depth, np.zeros(0, bool), np.zeros(0))
    evidence = _evidence(vectors, scale)
    costs = np.clip(COST + PER_MARGIN * np.nan_to_num(np.clip(margins, MARGIN_LEAST, MARGIN_MOST)), 0, None)
    starts = _best_starts(evidence, costs)
    is_break = np.zeros(len(margins), bool)
    is_break[starts - 1] = True
    return Breaks(depth, is_break, _gains(evidence, costs, starts))


def _evidence(vectors: Floats, scale: Scale) -> Doubles:
    """Return `(sentences, REACH)`: at [t, d - 1] what keeps sentences t - d and t together; 0 before t = d."""
    scaled = unit(np.asarray(vectors, np.float32))
    found = np.zeros((len(scaled), REACH))
    for d in range(1, min(REACH, len(scaled) - 1) + 1):
        found[d:, d - 1] = np.einsum("ij,ij->i", scaled[d:], scaled[:-d])
    zero, one = scale.of(found[1:, 0])
    for d in range(1, min(REACH, len(scaled) - 1) + 1):
        found[d:, d - 1] = (found[d:, d - 1] - zero) / (one - zero) - THRESHOLD
    return found


def _best_starts(evidence: Doubles, costs: Doubles) -> npt.NDArray[np.int64]:
    """Return the first sentences of the segments of least cost, without the first segment's.

    A candidate is the start of the last segment. All candidates more than REACH back change by the same amount with
    every further sentence, so only the best of them is kept.
    """
    together = np.cumsum(evidence, axis=1).tolist()
    start_costs = [0.0, *costs.tolist()]
    candidates: list[tuple[float, int]] = []
    least, last_start = 0.0, []
    for t, near in enumerate(together):
        candidates.append((least + start_costs[t], t))
        if len(candidates) > REACH + 1:
            candidates[:2] = [min(candidates[:2])]
        candidates = [(cost - near[min(t - s, REACH) - 1] if s < t else cost, s) for cost, s in candidates]
        least, start = min(candidates)
        last_start.append(start)
    starts, end = [], len(together)
    while (end := last_start[end - 1]) > 0:
        starts.append(end)
    return np.array(starts[::-1], np.int64)


def _gains(evidence: Doubles, costs: Doubles, starts: npt.NDArray[np.int64]) -> Doubles:
    """Return for each transition what is gained by a break there, all other breaks being as they are."""
    size = len(evidence)
    after = np.arange(1, size)
    edges = np.concatenate([[0], starts, [size]])
    segment_start = edges[np.searchsorted(edges, after, "left") - 1]
    segment_end = edges[np.searchsorted(edges, after, "right")]
    gains = -costs.copy()
    for d in range(1, min(REACH, size - 1) + 1):
        for k in range(d):
            second = after + k
            counted = (second < segment_end) & (second - d >= segment_start)
            gains[counted] -= evidence[second[counted], d - 1]
    return gains
