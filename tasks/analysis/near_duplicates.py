"""Groups of near-duplicates: stars, in which every member is as alike to the first as asked for.

The largest set that is left becomes the first of a group and takes those like it. So no group is a chain whose ends are
unlike each other: who keeps the first of each group keeps something like all that is left out, and no two that are
alike. Connected components promise neither. Which pairs are compared is up to `Buckets`; these are compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from polyseme.tasks.analysis.minhash import NUMBERS, Buckets, Signatures
from polyseme.tasks.analysis.shingles import Shingles, jaccard
from polyseme.tasks.arrays import Ints

_DEVIATIONS = 4.5
"""Standard errors by which a signature is taken to be wrong at most: of 300,000 pairs one is by more."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Star:
    """The place of the first set of a group, and those of its others with their similarity to it, the most alike first.

    Similarity is Jaccard's, of shingles.
    """

    first: int
    others: tuple[tuple[int, float], ...]


def stars(
    signatures: Signatures, sizes: Ints, buckets: Buckets, shingles: Callable[[int], Shingles], *, at_least: float,
    check: Callable[[int], None] = lambda done: None,
) -> Iterator[Star]:  # fmt: skip
    """Yield the groups of sets. `sizes` has the number of shingles of each, `shingles` returns those of a place.

    Of sets of one size the earlier is the first. `check` is called with how many sets were looked at.
    """
    free = buckets.shared()
    for done, one in enumerate(np.argsort(-sizes, kind="stable").tolist()):
        if not free[one]:
            continue
        check(done)
        free[one] = False
        mates = buckets.mates(one)
        mates = mates[free[mates]]
        near = _candidates(signatures, sizes, one, mates, at_least)
        found = [(other, jaccard(shingles(one), shingles(other))) for other in near]
        others = sorted(((o, s) for o, s in found if s >= at_least), key=lambda pair: (-pair[1], pair[0]))
        if others:
            free[[other for other, _ in others]] = False
            yield Star(one, tuple(others))


def _candidates(signatures: Signatures, sizes: Ints, one: int, mates: Ints, at_least: float) -> Sequence[int]:
    """Return those of `mates` that may be as alike: by size, and nearly by signature."""
    mates = mates[sizes[mates] >= at_least * sizes[one] * (1 - _ROUNDING)]  # none is larger
    estimated = (signatures[mates] == signatures[one]).mean(axis=1)
    error = sqrt(at_least * (1 - at_least) / NUMBERS)
    found: list[int] = mates[estimated >= at_least - _DEVIATIONS * error].tolist()
    return found
