"""Transitions: the pairs of sentences to score, the random baseline, and cosines between neighbours.

A transition is the step from a sentence to the next. The baseline is a seeded sample of pairs that do *not* follow each
other, scored the same way, so that a transition can be "less coherent than 93 % of random pairs".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, Ints, unit
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import SentencePairs

Flags = npt.NDArray[np.bool_]

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

    @property
    def far(self) -> SentencePairs:
        """The pairs of the random baseline."""
        return SentencePairs(self.pairs.first[self.adjacent :], self.pairs.second[self.adjacent :])


def adjacent_pairs(chunk: Chunk) -> SentencePairs:
    """Return all pairs of neighbouring sentences of one document whose first sentence the chunk stores."""
    first = np.flatnonzero((chunk.slice_of[:-1] == chunk.slice_of[1:]) & chunk.own[:-1]).astype(np.int64)
    return SentencePairs(first, first + 1)


def random_pairs(chunk: Chunk, count: int, seed: int, new: Flags | None = None) -> SentencePairs:
    """Return up to `count` distinct pairs of sentences that do not follow each other, the same for the same seed.

    Both are stored by the chunk; if it has several documents they are of different ones, so that topics differ too.
    The first of each is one of the `new` sentences, if these are given as `(sentences,)`.
    """
    owned = np.flatnonzero(chunk.own).astype(np.int64)
    firsts = owned if new is None else owned[new[owned]]
    if len(owned) < 3 or not len(firsts):
        none = np.empty(0, dtype=np.int64)
        return SentencePairs(none, none)
    random = np.random.default_rng(seed)
    first, second = (random.choice(among, size=count * _ATTEMPTS) for among in (firsts, owned))
    same_document = chunk.slice_of[first] == chunk.slice_of[second]
    several = len(np.unique(chunk.slice_of[owned])) > 1
    wrong = same_document if several else np.isin(second - first, (0, 1))
    _, drawn = np.unique(np.where(wrong, -1, first * chunk.sentences + second), return_index=True)
    keep = np.sort(drawn[~wrong[drawn]])[:count]
    return SentencePairs(first[keep], second[keep])


def transitions(chunk: Chunk, seed: int, near: SentencePairs | None = None, new: Flags | None = None) -> Transitions:
    """Return the chunk's adjacent pairs (`near`, if they are known), followed by its random baseline.

    If only some sentences are `new`, `(sentences,)`, the baseline has pairs for these alone, and as many fewer: the
    others keep the pairs that they had.
    """
    near = adjacent_pairs(chunk) if near is None else near
    wanted = float(np.clip(round(len(near) * BASELINE_SHARE), BASELINE_LEAST, BASELINE_MOST))
    if new is not None and len(near):
        # Rounded by chance, so that many small changes add up to what one large change would draw.
        wanted = wanted * int(new[near.first].sum()) / len(near) + np.random.default_rng((seed, 1)).random()
    far = random_pairs(chunk, int(wanted), seed, new) if len(near) else SentencePairs(near.first, near.second)
    pairs = SentencePairs(np.concatenate([near.first, far.first]), np.concatenate([near.second, far.second]))
    return Transitions(pairs, len(near))


def cosines(vectors: npt.NDArray[np.float16], first: Ints, second: Ints) -> Floats:
    """Return `(pairs,)`: cosine between the sentence vectors of each pair as the lake stores them, 0 for a zero vector.

    From vectors as they are read, so that it is the same whether a vector was computed just now or read.
    """
    scaled = unit(vectors.astype(np.float32))
    products: Floats = np.einsum("ij,ij->i", scaled[first], scaled[second])
    return products
