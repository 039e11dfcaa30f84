"""A map of many vectors: a place in the plane for each, near each other if the vectors are alike. Knows no texts.

A few vectors, the landmarks, are laid out by t-SNE (van der Maaten and Hinton 2008; cosine, from principal components);
every other is placed among those that it is most like, independently of all others. So a million vectors cost a product
with the landmarks, and a vector that arrives later moves none that is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, unit

Keys = npt.NDArray[np.uint64]

MOST_LANDMARKS = 2_000
"""t-SNE of twice as many takes twice as long, and the map is no more trustworthy (`benchmarks/map_quality.py`)."""
_PERPLEXITY = 30
_ITERATIONS = 500
_FEWEST_FOR_TSNE = 8
_NEAREST = 8
_SHARPNESS = 10.0
_REACH = 2.0
"""In spacings: a mean of landmarks that lie far apart would be among vectors that are like none of them."""
_JITTER = 0.5
"""In spacings: equal vectors, and those of one landmark, are still points that can be told apart."""
_ROWS_A_BLOCK = 8_192


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Vectors `(landmarks, width)` of length 1 and their places `(landmarks, 2)`, from -1 to 1.

    `spacing` is the distance from a landmark to its fifth neighbour, in the middle of all.
    """

    unit: Floats
    place: Floats
    spacing: float


def lay_landmarks(vectors: Floats) -> Landmarks:
    """Lay some vectors out, at least one. The same vectors get the same places, whatever the number of cores."""
    rows = np.unique(unit(vectors), axis=0)
    place = _tsne(rows) if len(rows) >= _FEWEST_FOR_TSNE else _components(rows)
    # Screens are wide: the long side lies.
    _, _, axes = np.linalg.svd(place - place.mean(axis=0), full_matrices=False)
    place = place @ axes.T if axes.shape == (2, 2) else place
    place = place - (place.max(axis=0) + place.min(axis=0)) / 2
    place = (place / max(float(np.abs(place).max(initial=0.0)), 1e-9)).astype(np.float32)
    return Landmarks(rows, place, _spacing(place))


def place(vectors: Floats, landmarks: Landmarks, keys: Keys) -> Floats:
    """Return the places `(rows, 2)` of vectors of length 1. `keys`, one a row, move apart what would coincide."""
    found = np.empty((len(vectors), 2), np.float32)
    for first in range(0, len(vectors), _ROWS_A_BLOCK):
        block = slice(first, first + _ROWS_A_BLOCK)
        found[block] = _among(vectors[block], landmarks)
    return found + _jitter(keys, _JITTER * landmarks.spacing)


def mixed(keys: Keys, numbers: npt.NDArray[np.integer]) -> Keys:
    """Return a key of each key and number, as good as random: the steps of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = keys + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Keys = z ^ (z >> np.uint64(31))
    return found


def _among(rows: Floats, landmarks: Landmarks) -> Floats:
    """Return the mean place of the landmarks that rows are most like, of those that lie near the most alike of all."""
    likeness = rows @ landmarks.unit.T
    each, count = np.arange(len(rows)), min(_NEAREST, len(landmarks.unit))
    nearest = np.empty((count, len(rows)), np.int64)
    cosine = np.empty((count, len(rows)), np.float32)
    for n in range(count):  # the largest again and again: eight times faster than a partition of every row
        nearest[n] = likeness.argmax(axis=1)
        cosine[n] = likeness[each, nearest[n]]
        likeness[each, nearest[n]] = -np.inf
    places = landmarks.place[nearest]
    apart = ((places - places[:1]) ** 2).sum(axis=2) / (2 * (_REACH * landmarks.spacing) ** 2)
    weight = np.exp(_SHARPNESS * (cosine - cosine[:1]) - apart)[:, :, None]
    mean: Floats = (weight * places).sum(axis=0) / weight.sum(axis=0)
    return mean


def _jitter(keys: Keys, radius: float) -> Floats:
    """Return a step for each key, evenly spread over a disc."""
    share = (keys >> np.uint64(32)).astype(np.float64) / 2**32
    angle = (keys & np.uint64(0xFFFFFFFF)).astype(np.float64) * (2 * np.pi / 2**32)
    step = radius * np.sqrt(share)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found: Floats = step.astype(np.float32)
    return found


def _tsne(rows: Floats) -> Floats:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    method = TSNE(metric="cosine", init="pca", random_state=0, max_iter=_ITERATIONS, perplexity=perplexity, n_jobs=1)
    # Threads add numbers up in any order, and t-SNE makes another map of any difference.
    with threadpool_limits(1):
        found: Floats = method.fit_transform(rows)
    return found


def _components(rows: Floats) -> Floats:
    """Return the first two principal components, as many as there are."""
    found = np.zeros((len(rows), 2), np.float32)
    if len(rows) > 1:
        left, size, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        flat = (left * size)[:, :2]
        found[:, : flat.shape[1]] = flat
    return found


def _spacing(place: Floats) -> float:
    """Return the distance to the fifth neighbour in the middle of all places; 0.1 if there are too few to tell."""
    if len(place) < _FEWEST_FOR_TSNE:
        return 0.1
    square = (place**2).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * place @ place.T, 0))
    return max(float(np.median(np.partition(distance, 5, axis=1)[:, 5])), 1e-3)
