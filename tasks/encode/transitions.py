"""Transitions: the pairs of sentences to score, the random baseline, and cosines between neighbours.

A transition is the step from a sentence to the next. The baseline is a seeded sample of pairs that do *not* follow each
other, scored the same way, so that a transition can be "less coherent than 93 % of random pairs".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.tasks.arrays import Floats, Ints, unit
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import SentencePairs

BASELINE_SHARE = 0.1
BASELINE_LEAST, BASELINE_MOST = 32, 1024
"""Random pairs of a chunk: a share of its transitions, within bounds."""
_ATTEMPTS = 8
"""Pairs drawn for each random pair that is wanted: some are rejected."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """Pairs to score: the first `adjacent` of them are transitions, the rest are the random baseline."""

    pairs: SentencePairs
    adjacent: int


def adjacent_pairs(chunk: Chunk) -> SentencePairs:
    """Return all pairs of neighbouring sentences of one document whose first sentence the chunk stores."""
    first = np.flatnonzero((chunk.slice_of[:-1] == chunk.slice_of[1:]) & chunk.own[:-1]).astype(np.int64)
    return SentencePairs(first, first + 1)


def random_pairs(chunk: Chunk, count: int, seed: int) -> SentencePairs:
    """Return up to `count` distinct pairs of sentences that do not follow each other, the same for the same seed.

    Both are stored by the chunk; if it has several documents they are of different ones, so that topics differ too.
    """
    owned = np.flatnonzero(chunk.own).astype(np.int64)
    if len(owned) < 3:
        none = np.empty(0, dtype=np.int64)
        return SentencePairs(none, none)
    random = np.random.default_rng(seed)
    first, second = (random.choice(owned, size=count * _ATTEMPTS) for _ in range(2))
    same_document = chunk.slice_of[first] == chunk.slice_of[second]
    several = len(np.unique(chunk.slice_of[owned])) > 1
    wrong = same_document if several else np.isin(second - first, (0, 1))
    _, drawn = np.unique(np.where(wrong, -1, first * chunk.sentences + second), return_index=True)
    keep = np.sort(drawn[~wrong[drawn]])[:count]
    return SentencePairs(first[keep], second[keep])


def transitions(chunk: Chunk, seed: int) -> Transitions:
    """Return the chunk's adjacent pairs, followed by its random baseline if there are any."""
    near = adjacent_pairs(chunk)
    wanted = int(np.clip(round(len(near) * BASELINE_SHARE), BASELINE_LEAST, BASELINE_MOST))
    far = random_pairs(chunk, wanted, seed) if len(near) else SentencePairs(near.first, near.second)
    pairs = SentencePairs(np.concatenate([near.first, far.first]), np.concatenate([near.second, far.second]))
    return Transitions(pairs, len(near))


def cosines(vectors: Floats, first: Ints, second: Ints) -> Floats:
    """Return `(pairs,)`: cosine between the sentence vectors of each pair, 0 for a zero vector."""
    scaled = unit(vectors)
    products: Floats = np.einsum("ij,ij->i", scaled[first], scaled[second])
    return products
