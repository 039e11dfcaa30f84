"""Word senses: the occurrences of one word clustered by meaning. Knows vectors, not texts or lakes.

Most of each vector is common to all occurrences of a word, so their mean is subtracted first; the rest is scaled to
length 1 and clustered by k-means for every number of clusters. The quality of a clustering is its mean silhouette
(Rousseeuw 1987, cosine). The smallest number within `SLACK` of the best is chosen, or a single cluster if even the best
is below `LEAST_SILHOUETTE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from polyseme.tasks.arrays import Floats, Ints, unit

MOST_SENSES = 8
LEAST_OCCURRENCES_A_SENSE = 3
SLACK = 0.1
"""Further splits raise the silhouette a little without finding more senses (seven words of examples/corpus)."""
LEAST_SILHOUETTE = 0.1
"""Below it clusters overlap so much that they mean nothing."""
_FITTED_MOST = 1000
"""The most occurrences to fit clusters to: silhouettes take quadratic time."""


@dataclass(frozen=True, slots=True)
class Senses:
    """One row per occurrence. `sense` counts from 1, the largest first; `typicality` is the cosine to its centre.

    `silhouette` is the mean silhouette of the clustering, -1 to 1; NaN for a single sense.
    """

    sense: Ints
    typicality: Floats
    silhouette: float


def find_senses(vectors: Floats) -> Senses:
    """Cluster occurrences by their vectors `(occurrences, width)`. The same input gives the same clusters."""
    rows = centred(vectors)
    labels, silhouette = np.zeros(len(rows), np.int64), float("nan")
    fitted = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), _FITTED_MOST)).astype(np.int64))
    if len(rows) >= 2 * LEAST_OCCURRENCES_A_SENSE:
        best = _best(rows[fitted])
        if best is not None and best[1] >= LEAST_SILHOUETTE:
            labels, silhouette = np.argmax(rows @ _centres(rows[fitted], best[0]).T, axis=1), best[1]
    order = np.argsort(-np.bincount(labels), kind="stable")
    sense = np.argsort(order)[labels] + 1
    centres = _centres(rows, sense - 1)
    return Senses(sense, np.einsum("ij,ij->i", rows, centres[sense - 1]), silhouette)


def sense_map(vectors: Floats) -> Floats:
    """Return `(occurrences, 2)`: the coordinates on the first two principal components, for a plot."""
    rows = centred(vectors)
    if len(rows) < 3:
        return np.zeros((len(rows), 2), np.float32)
    left, size, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    flat: Floats = left[:, :2] * size[:2]
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


def centred(vectors: Floats) -> Floats:
    """Return vectors of length 1 less their mean, at length 1 again; equal vectors become zeros."""
    rows = unit(vectors)
    # Of equal vectors only rounding errors are left, which must not be scaled up.
    return unit(rows - rows.mean(axis=0), least=1e-4) if len(rows) else rows


def load_clustering() -> None:
    """Import scikit-learn, which `find_senses` needs and imports by itself: a second that others do not spend."""
    import sklearn.cluster
    import sklearn.metrics  # noqa: F401


def _best(rows: Floats) -> tuple[Ints, float] | None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    if len(np.unique(rows, axis=0)) < 2 * LEAST_OCCURRENCES_A_SENSE:
        return None
    clusterings: list[tuple[Ints, float]] = []
    # On a busy machine threads that wait for each other make so small a problem 13 times slower.
    with threadpool_limits(1):
        for k in range(2, min(MOST_SENSES, len(rows) // LEAST_OCCURRENCES_A_SENSE) + 1):
            labels = KMeans(k, n_init=10, random_state=0).fit_predict(rows)
            clusterings.append((labels.astype(np.int64), float(silhouette_score(rows, labels, metric="cosine"))))
    best = max(score for _, score in clusterings)
    return next(clustering for clustering in clusterings if clustering[1] >= best - SLACK)


def _centres(rows: Floats, labels: Ints) -> Floats:
    means = np.stack(
        [rows[labels == k].mean(axis=0) for k in range(int(labels.max(initial=-1)) + 1)] or [rows[:0].sum(0)]
    )
    return unit(means)


def _log_odds(word: str, own: Counter[str], rest: Counter[str], whole: Counter[str]) -> float:
    prior, total = whole[word], whole.total()
    a, b = own[word] + prior, rest[word] + prior
    odds = log(a / (own.total() + total - a)) - log(b / (rest.total() + total - b))
    return odds / sqrt(1 / a + 1 / b)
