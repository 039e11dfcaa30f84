"""Word senses: the occurrences of one word clustered by meaning, and their number. Knows vectors, not texts or lakes.

In the space of `sense_space`, mixtures (`mixtures`) of 2 to `MOST_SENSES` groups are fitted. The quality of each is the
mean silhouette (Rousseeuw 1987). The number with the best quality less `_price` is chosen; a single sense has the
quality `ONE_SENSE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from polyseme.tasks.analysis.mixtures import Mixture, mixtures
from polyseme.tasks.analysis.sense_space import Space, centred, principal_axes, sense_space
from polyseme.tasks.arrays import Floats, Ints, unit

MOST_SENSES = 8
LEAST_OCCURRENCES_A_SENSE = 3
ONE_SENSE = 0.17
"""What a single sense counts; chosen with `_price` on pseudo-words and annotated words (docs/sql.md)."""


@dataclass(frozen=True, slots=True)
class Senses:
    """One row per occurrence. `sense` counts from 1, the largest first; `typicality` is the cosine to its centre.

    `silhouette` is the mean silhouette of the clustering, -1 to 1; NaN for a single sense.
    """

    sense: Ints
    typicality: Floats
    silhouette: float


def find_senses(vectors: Floats, sentences: Floats | None = None) -> Senses:
    """Cluster occurrences by their vectors `(occurrences, width)`. The same input gives the same clusters.

    `sentences` are the vectors of the sentences they are in, as many rows of any width: with them senses are better.
    """
    rows = centred(vectors)
    labels, silhouette = np.zeros(len(rows), np.int64), float("nan")
    if len(np.unique(rows, axis=0)) >= 2 * LEAST_OCCURRENCES_A_SENSE:
        space = sense_space(vectors, sentences)
        best = _best(space)
        if best is not None:
            labels, silhouette = best[0].nearest(space.places), best[1]
    order = np.argsort(-np.bincount(labels), kind="stable")
    sense = np.argsort(order)[labels] + 1
    centres = _centres(rows, sense - 1)
    return Senses(sense, np.einsum("ij,ij->i", rows, centres[sense - 1]), silhouette)


def sense_map(vectors: Floats) -> Floats:
    """Return `(occurrences, 2)`: the coordinates on the first two principal components, for a plot."""
    rows = centred(vectors)
    if len(rows) < 3:
        return np.zeros((len(rows), 2), np.float32)
    rows = rows - rows.mean(axis=0)
    axes = principal_axes(rows, 2)
    flat: Floats = np.zeros((len(rows), 2), np.float32)
    flat[:, : len(axes)] = rows @ axes.T
    # The sign of a component is arbitrary; this one is the same on every machine.
    return flat * np.sign(flat[np.argmax(np.abs(flat), axis=0), [0, 1]])


def distinguishing(sentences: Sequence[Sequence[str]], senses: Sequence[int], *, most: int) -> dict[int, list[str]]:
    """Return for each sense up to `most` words that its sentences use more than the others, the most distinctive first.

    `sentences` are lists of lower-case words. By z-scores of log-odds with all sentences as prior (Monroe et al. 2008);
    only words above 0.8 that occur in at least two sentences of the sense.
    """
    counts: dict[int, Counter[str]] = {sense: Counter() for sense in sorted(set(senses))}
    for words, sense in zip(sentences, senses, strict=True):
        counts[sense].update(set(words))
    whole = sum(counts.values(), Counter[str]())
    found = {}
    for sense, own in counts.items():
        rest = whole - own
        # Words in every third sentence, whatever the sense, are function words.
        candidates = [w for w, n in own.items() if n >= 2 and (3 * whole[w] < len(senses) or not rest[w])]
        scored = [(_log_odds(w, own, rest, whole), w) for w in candidates]
        found[sense] = [w for z, w in sorted(scored, key=lambda s: (-s[0], s[1])) if z > 0.8][:most]
    return found


def load_clustering() -> None:
    """Import scikit-learn, which `find_senses` needs and imports by itself: a second that others do not spend."""
    import scipy.cluster.hierarchy  # noqa: F401
    import sklearn.cluster
    import sklearn.metrics  # noqa: F401


def _best(space: Space) -> tuple[Mixture, float] | None:
    """Return the chosen mixture and its silhouette, None for a single sense."""
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    points = space.places[space.fitted]
    chosen, highest = None, ONE_SENSE
    # On a busy machine threads that wait for each other make so small a problem 13 times slower.
    with threadpool_limits(1):
        most = min(MOST_SENSES, len(points) // LEAST_OCCURRENCES_A_SENSE)
        for k, mixture in mixtures(points, most).items():
            labels = mixture.nearest(points)
            if np.bincount(labels, minlength=k).min() < LEAST_OCCURRENCES_A_SENSE:
                continue
            silhouette = float(silhouette_score(points, labels))
            if silhouette - _price(k) > highest:
                chosen, highest = (mixture, silhouette), silhouette - _price(k)
    return chosen


def _price(k: int) -> float:
    """Return what `k` senses must be better by: further splits raise the silhouette a little without finding senses."""
    return 0.03 * log(k) - 0.04 * (k == 2)


def _centres(rows: Floats, labels: Ints) -> Floats:
    means = np.stack(
        [rows[labels == k].mean(axis=0) for k in range(int(labels.max(initial=-1)) + 1)] or [rows[:0].sum(0)]
    )
    return unit(means)


def _log_odds(word: str, own: Counter[str], rest: Counter[str], whole: Counter[str]) -> float:
    prior, total = whole[word], whole.total()
    if prior == total:  # the only word there is sets nothing apart, and its odds would be infinite
        return 0.0
    a, b = own[word] + prior, rest[word] + prior
    odds = log(a / (own.total() + total - a)) - log(b / (rest.total() + total - b))
    return odds / sqrt(1 / a + 1 / b)
