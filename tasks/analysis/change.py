"""Change of meaning: the occurrences of a word in slices of a corpus, each slice against the one before and the first.

Senses are found among the occurrences of all slices together, so that a sense is the same in each. Knows vectors and
numbers of documents, no texts; measures are those of `drift`, tests those of `permutation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.tasks.analysis.drift import jensen_shannon, pairwise_distance, prototype_distance, spread
from polyseme.tasks.analysis.permutation import PERMUTATIONS, Exchanged, change_test
from polyseme.tasks.analysis.senses import find_senses
from polyseme.tasks.arrays import Floats, Ints


@dataclass(frozen=True, slots=True)
class Change:
    """How two slices differ: APD, PRT and JSD, APD less the spread of both, and its p (see `permutation`)."""

    apd: float
    prt: float
    jsd: float
    apd_corrected: float
    p: float
    exchanged: Exchanged


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: what is in it, the share of each sense, and its change; None for the first slice."""

    number: int
    occurrences: int
    documents: int
    spread: float
    shares: tuple[float, ...]
    to_previous: Change | None
    to_first: Change | None


def slices_of_word(vectors: Floats, slices: Ints, documents: Ints, *, permutations: int = PERMUTATIONS) -> list[Slice]:
    """Return the slices of a word in their order, without empty ones.

    `vectors` is `(occurrences, width)`, `slices` and `documents` are `(occurrences,)`: numbers from 0.
    """
    senses = find_senses(vectors).sense - 1
    counts = np.zeros((int(slices.max(initial=-1)) + 1, int(senses.max(initial=0)) + 1))
    np.add.at(counts, (slices, senses), 1)
    numbers = np.unique(slices).tolist()
    rows = {number: np.flatnonzero(slices == number) for number in numbers}

    def change(before: int, after: int) -> Change:
        one, other = rows[before], rows[after]
        test = change_test(vectors[one], vectors[other], documents[one], documents[other], permutations=permutations)
        return Change(
            pairwise_distance(vectors[one], vectors[other]),
            prototype_distance(vectors[one], vectors[other]),
            jensen_shannon(counts[before], counts[after]),
            test.corrected_distance,
            test.p,
            test.exchanged,
        )

    found: list[Slice] = []
    for at, number in enumerate(numbers):
        previous = change(numbers[at - 1], number) if at else None
        first = previous if at <= 1 else change(numbers[0], number)
        found.append(
            Slice(
                number,
                len(rows[number]),
                len(np.unique(documents[rows[number]])),
                spread(vectors[rows[number]]),
                tuple((counts[number] / counts[number].sum()).tolist()),
                previous,
                first,
            )
        )
    return found
