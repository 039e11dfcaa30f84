"""Topics: documents clustered by their vectors, and the topics of a new clustering matched with those before it.

Spherical k-means (Dhillon & Modha 2001) on unit vectors less their mean, in the first `DIMENSIONS` principal
components, where it is faster and more stable than in all of them and as good (docs/bench.md). The number of topics
is the one with the best mean silhouette (Rousseeuw 1987). Knows vectors, not texts or lakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polyseme.tasks.analysis.sense_space import principal_axes
from polyseme.tasks.arrays import Floats, Ints, unit

DIMENSIONS = 32
FITTED_MOST = 20_000
"""The most documents that topics are fitted to, spread evenly; all others only get one."""
MOST_BY_DEFAULT = 100
_JUDGED_MOST = 3_000
"""The most documents by which the number is chosen: silhouettes take quadratic time."""
_DOCUMENTS_A_TOPIC = 10
_STARTS, _STEPS = 4, 100
_WORTH_A_TOPIC_MORE = 0.01
"""What the silhouette has to gain before a refit has more topics than the version before it."""
_SAME = 1 / 2
"""Jaccard similarity above which two topics are the same: most documents that are in either are in both."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The centre `(width,)`, the unit directions `(topics, width)` from it, the topic of each document from 0.

    `similarity` is the cosine of each document to the direction of its topic; `silhouette` is NaN for one topic.
    """

    centre: Floats
    directions: Floats
    labels: Ints
    similarity: Floats
    silhouette: float


def find_topics(vectors: Floats, *, number: int | None = None, seed: int = 0, before: Ints | None = None) -> Clusters:
    """Cluster documents by their vectors `(documents, width)`: into `number` topics, or as many as fit best.

    With `before`, the topic of each document in the version before, from 0, its topics are where the search starts:
    they stay near what they were, and if `number` is None there are more only if that fits better. The same input gives
    the same topics. Topics without documents are left out.
    """
    from threadpoolctl import threadpool_limits

    rows = unit(vectors)
    centre = _rounded(rows.mean(axis=0))
    rows = unit(rows - centre, least=1e-4)
    fitted = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), FITTED_MOST)).astype(np.int64))
    with threadpool_limits(1):  # sums of several threads would not be the same on every machine
        axes = principal_axes(rows[fitted], DIMENSIONS)
        points: Floats = unit(rows[fitted] @ axes.T)
        start = None if before is None or before.max() < 0 else _means(points, before[fitted])
        number = _best_number(points, seed, start) if number is None else min(number, len(np.unique(points, axis=0)))
        centres = _k_means(points, number, seed, start)
        directions = _rounded(unit(centres @ axes))
        labels, similarity = nearest(rows, directions)
        judged = points[:: max(1, len(points) // _JUDGED_MOST)]
        silhouette = _silhouette(judged, nearest(judged, centres)[0])
    used = np.unique(labels)
    return Clusters(centre, directions[used], np.searchsorted(used, labels), similarity, silhouette)


def nearest(rows: Floats, directions: Floats) -> tuple[Ints, Floats]:
    """Return for each row the nearest direction, the first of several, and the product with it."""
    labels, scores = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    for first in range(0, len(rows), 4096):
        products = rows[first : first + 4096] @ directions.T
        labels[first : first + 4096] = products.argmax(axis=1)
        scores[first : first + 4096] = products.max(axis=1)
    return labels, scores


def matched(before: Ints, after: Ints) -> dict[int, int]:
    """Return which cluster of `before` each of `after` is, where the same documents are in both, by most in common.

    Pairs are those with the greatest sum of Jaccard similarities (Kuhn 1955), less those of clusters that are not the
    same. A document that was in none is -1 in `before`, and does not count.
    """
    from scipy.optimize import linear_sum_assignment

    known = before >= 0
    in_both = np.zeros((int(before.max(initial=-1)) + 1, int(after.max(initial=-1)) + 1))
    np.add.at(in_both, (before[known], after[known]), 1)
    sizes = in_both.sum(axis=1, keepdims=True), in_both.sum(axis=0)
    jaccard = in_both / np.maximum(sizes[0] + sizes[1] - in_both, 1)
    pairs = zip(*linear_sum_assignment(jaccard, maximize=True), strict=True)
    return {int(new): int(old) for old, new in pairs if jaccard[old, new] > _SAME}


def _best_number(points: Floats, seed: int, start: Floats | None) -> int:
    """Return the number of topics with the best silhouette; at least as many as `start` has, if there is one."""
    judged: Floats = points[:: max(1, len(points) // _JUDGED_MOST)]
    least = 1 if start is None else len(start)
    chosen, best = least, -np.inf
    for number in _numbers(least, min(MOST_BY_DEFAULT, len(np.unique(judged, axis=0)) // _DOCUMENTS_A_TOPIC)):
        centres = _k_means(judged, number, seed, start)
        found = _silhouette(judged, nearest(judged, centres)[0])
        if found > best + (_WORTH_A_TOPIC_MORE if start is not None and number > least else 0):
            chosen, best = number, found
    return chosen


def _numbers(least: int, most: int) -> Iterator[int]:
    """Yield numbers of topics to try: from 2, or `least`, each a sixth larger than the one before."""
    number = max(least, 2)
    while number <= max(most, least):
        yield number
        number += max(1, number // 6)


def _k_means(points: Floats, number: int, seed: int, start: Floats | None) -> Floats:
    """Return the centres `(number, dimensions)` of the best of several searches, or of the one from `start`."""
    best, highest = points[:1], -np.inf
    for trial in range(_STARTS if start is None else 1):
        draw = np.random.default_rng([seed, trial])
        centres = _seeds(points, number, draw, points[:0] if start is None else start)
        labels = np.full(len(points), -1)
        for _ in range(_STEPS):
            found, scores = nearest(points, centres)
            if np.array_equal(found, labels):
                break
            labels, centres = found, _means(points, found, centres)
        if scores.mean() > highest:
            best, highest = centres, scores.mean()
    return best


def _seeds(points: Floats, number: int, draw: np.random.Generator, given: Floats) -> Floats:
    """Return `number` centres: those given, and points drawn by their squared distance to all before (k-means++)."""
    centres = list(given[:number])
    distance = 1 - nearest(points, given)[1] if len(given) else np.ones(len(points), np.float32)
    while len(centres) < number:
        weights = np.maximum(distance, 0).astype(np.float64)
        total = weights.sum()
        place = int(draw.choice(len(points), p=weights / total if total else None))
        centres.append(points[place])
        distance = np.minimum(distance, 1 - points @ points[place])
    return np.stack(centres)


def _means(points: Floats, labels: Ints, otherwise: Floats | None = None) -> Floats:
    """Return the unit mean of the points of each label; of one without points, that of `otherwise`, or none."""
    from scipy.sparse import csr_array

    known = np.flatnonzero(labels >= 0)
    number = int(labels.max(initial=-1)) + 1 if otherwise is None else len(otherwise)
    ones = np.ones(len(known), np.float32)
    sums = csr_array((ones, (labels[known], known)), shape=(number, len(points))) @ points
    empty = np.bincount(labels[known], minlength=number) == 0
    if otherwise is None:
        return unit(sums[~empty])
    sums[empty] = otherwise[empty]
    means: Floats = unit(sums)
    return means


def _silhouette(points: Floats, labels: Ints) -> float:
    from sklearn.metrics import silhouette_score

    several = 1 < len(np.unique(labels)) < len(points)
    return float(silhouette_score(points, labels)) if several else float("nan")


def _rounded(vectors: Floats) -> Floats:
    """Return vectors as they are stored, so that documents are counted as they will be assigned."""
    return vectors.astype(np.float16).astype(np.float32)
