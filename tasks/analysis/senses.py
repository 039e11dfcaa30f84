"""Word senses: the occurrences of one word in groups of like meaning. Arrays in and out; knows no text or lake.

What all occurrences of a word share is most of each vector, so their mean is taken off first; what is left is scaled to
length 1 and grouped by k-means for every number of groups. How clear a grouping is, its mean silhouette says (Rousseeuw
1987, cosine). Kept is the smallest number within `SLACK` of the best, or one group where even the best is below
`LEAST_SILHOUETTE`.
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
"""Splitting on gains a little silhouette long after it stopped finding senses (seven words of examples/corpus)."""
LEAST_SILHOUETTE = 0.1
"""Below it the groups overlap so much that they say nothing."""
_FITTED_MOST = 1000
"""Occurrences that groups are fitted to: silhouettes cost the square of their number."""


@dataclass(frozen=True, slots=True)
class Senses:
    """One row an occurrence. `sense` counts from 1, the largest first; `typicality` is the cosine to its centre.

    `silhouette` is how clear the grouping is, -1 to 1; NaN for a single sense.
    """

    sense: Ints
    typicality: Floats
    silhouette: float


def find_senses(vectors: Floats) -> Senses:
    """Group occurrences by their vectors `(occurrences, width)`. The same input gives the same groups."""
    rows = _own(vectors)
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
    """Return `(occurrences, 2)`: the two directions in which the occurrences differ most (PCA), for a picture."""
    rows = _own(vectors)
    if len(rows) < 3:
        return np.zeros((len(rows), 2), np.float32)
    left, size, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    flat: Floats = left[:, :2] * size[:2]
    # A direction has no sign of its own; this one is the same on every machine.
    return flat * np.sign(flat[np.argmax(np.abs(flat), axis=0), [0, 1]])


def distinguishing(sentences: Sequence[Sequence[str]], senses: Sequence[int], *, most: int) -> dict[int, list[str]]:
    """Return for each sense the words that its sentences use and the others do not, clearest first.

    `sentences` are lists of lower-case words. By log-odds with the whole as prior, in standard deviations (Monroe et
    al. 2008); only words above 0.8 that stand in two sentences of the sense or more.
    """
    counts: dict[int, Counter[str]] = {sense: Counter() for sense in sorted(set(senses))}
    for words, sense in zip(sentences, senses, strict=True):
        counts[sense].update(set(words))
    whole = sum(counts.values(), Counter[str]())
    found = {}
    for sense, own in counts.items():
        rest = whole - own
        # What stands in every third sentence, whatever the sense, is grammar.
        telling = [w for w, n in own.items() if n >= 2 and (3 * whole[w] < len(senses) or not rest[w])]
        scored = [(_log_odds(w, own, rest, whole), w) for w in telling]
        found[sense] = [w for z, w in sorted(scored, key=lambda s: (-s[0], s[1])) if z > 0.8][:most]
    return found


def _own(vectors: Floats) -> Floats:
    """Scale to length 1, take off the mean, scale again; equal vectors become zeros."""
    rows = unit(vectors)
    # Rounding leaves a little of what is equal; scaled up it would be noise.
    return unit(rows - rows.mean(axis=0), least=1e-4) if len(rows) else rows


def _best(rows: Floats) -> tuple[Ints, float] | None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    if len(np.unique(rows, axis=0)) < 2 * LEAST_OCCURRENCES_A_SENSE:
        return None
    groupings: list[tuple[Ints, float]] = []
    # Threads that wait for each other on a busy machine make so small a problem 13 times slower.
    with threadpool_limits(1):
        for k in range(2, min(MOST_SENSES, len(rows) // LEAST_OCCURRENCES_A_SENSE) + 1):
            labels = KMeans(k, n_init=10, random_state=0).fit_predict(rows)
            groupings.append((labels.astype(np.int64), float(silhouette_score(rows, labels, metric="cosine"))))
    best = max(score for _, score in groupings)
    return next(grouping for grouping in groupings if grouping[1] >= best - SLACK)


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
