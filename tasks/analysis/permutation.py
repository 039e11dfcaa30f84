"""Permutation: whether a word is used more differently in two slices than in documents dealt out at random.

A document speaks of one thing, so its occurrences of a word are alike, and a test that shuffles occurrences takes two
documents for a change of meaning. Here whole documents change slices. After Liu, Medlar and Głowacka (2021), who test
uses, and adjust p to the false discovery rate. Knows vectors and numbers of documents, no words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from polyseme.tasks.analysis.drift import Doubles
from polyseme.tasks.arrays import Floats, Ints, unit

PERMUTATIONS = 999
"""The least p is 1 / (1 + this)."""
_SEED = 1
_ENTRIES_AT_ONCE, _CACHED_ENTRIES = 4_000_000, 60_000
"""Shuffled labels in memory at once, 32 MB, and those of so few units that many words have as many."""
_ROUNDING = 1e-10
"""Differences of a statistic below it are rounding errors: the same labels in another order are a tie."""

Exchanged = Literal["documents", "occurrences"]


@dataclass(frozen=True, slots=True)
class Units:
    """What changes slices as a whole: sums of vectors of length 1 `(units, width)` and their numbers `(units,)`."""

    sums: Doubles
    counts: Doubles

    @property
    def is_several(self) -> bool:
        """Whether there are at least two, so that a spread between them is known."""
        return len(self.counts) > 1


@dataclass(frozen=True, slots=True)
class Test:
    """`corrected_distance` of two slices, and the share of shufflings, the given one included, that reach it."""

    corrected_distance: float
    p: float
    exchanged: Exchanged


def units_of(vectors: Floats, documents: Ints) -> Units:
    """Return the vectors `(occurrences, width)` summed by document; `documents` `(occurrences,)` numbers them."""
    _, number = np.unique(documents, return_inverse=True)
    order = np.argsort(number, kind="stable")
    counts = np.bincount(number).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    rows = unit(vectors.astype(np.float64))[order]
    return Units(np.add.reduceat(rows, starts, axis=0) if len(rows) else rows, counts)


def corrected_distance(first: Units, second: Units) -> float:
    """Return APD between two slices less the mean of the APDs within them; NaN if one has fewer than two units.

    Pairs within one unit are left out, as there are none between slices. It is half of the squared distance between the
    mean vectors, estimated without bias (the maximum mean discrepancy of Gretton et al. 2012, with the cosine as
    kernel): 0 on average where nothing changed, however rare the word is, and so at times below 0.
    """
    if not first.is_several or not second.is_several:
        return float("nan")
    return float(_statistics(_joined(first, second), _labels(len(first.counts), len(second.counts))[None])[0])


def exchange_test(first: Units, second: Units, *, permutations: int = PERMUTATIONS) -> tuple[float, float]:
    """Return `corrected_distance` and its p, one-sided: (1 + shufflings that reach it) / (1 + shufflings).

    Numbers of units in both slices stay as they are. NaN if one has fewer than two, and p also for no permutations.
    """
    observed = corrected_distance(first, second)
    if np.isnan(observed) or permutations < 1:
        return observed, float("nan")
    both, reached = _joined(first, second), 0
    for labels in _shufflings(len(first.counts), len(second.counts), permutations):
        reached += int((_statistics(both, labels) >= observed - _ROUNDING).sum())
    return observed, (1 + reached) / (1 + permutations)


def change_test(
    first: Floats, second: Floats, documents: Ints, other_documents: Ints, *, permutations: int = PERMUTATIONS
) -> Test:
    """Return the test of two slices of vectors `(occurrences, width)`, with the documents of their occurrences.

    With fewer than two documents in a slice occurrences change slices instead: that tells whether the documents differ,
    and nothing about others like them.
    """
    one, other = units_of(first, documents), units_of(second, other_documents)
    exchanged: Exchanged = "documents"
    if not one.is_several or not other.is_several:
        exchanged = "occurrences"
        one, other = (units_of(vectors, np.arange(len(vectors))) for vectors in (first, second))
    return Test(*exchange_test(one, other, permutations=permutations), exchanged)


def adjusted(p: npt.ArrayLike) -> Doubles:
    """Return p-values adjusted to the false discovery rate (Benjamini and Hochberg 1995); NaN is no test."""
    given = np.array(p, np.float64)
    found = np.full(len(given), np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(-given[tested], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1, np.minimum.accumulate(given[order] * len(order) / ranks)) if len(order) else []
    return found


def _shufflings(first: int, second: int, permutations: int) -> Iterator[Doubles]:
    """Yield blocks of rows with 1 for `first` of the units and 0 for `second`, shuffled: the same at every call."""
    if (first + second) * permutations <= _CACHED_ENTRIES:
        yield _few_shufflings(first, second, permutations)
        return
    random, labels = np.random.default_rng(_SEED), _labels(first, second)
    rows = max(1, _ENTRIES_AT_ONCE // len(labels))
    for start in range(0, permutations, rows):
        yield random.permuted(np.tile(labels, (min(rows, permutations - start), 1)), axis=1)


@lru_cache(maxsize=256)
def _few_shufflings(first: int, second: int, permutations: int) -> Doubles:
    random = np.random.default_rng(_SEED)
    return random.permuted(np.tile(_labels(first, second), (permutations, 1)), axis=1)


def _labels(first: int, second: int) -> Doubles:
    return np.repeat([1.0, 0.0], [first, second])


def _joined(first: Units, second: Units) -> Units:
    return Units(np.concatenate([first.sums, second.sums]), np.concatenate([first.counts, second.counts]))


def _statistics(units: Units, labels: Doubles) -> Doubles:
    """Return `corrected_distance` for each row of labels `(rows, units)`: 1 for one slice, 0 for the other."""
    sums, counts = units.sums, units.counts
    whole = sums.sum(axis=0)
    if len(counts) < sums.shape[1]:  # a table of products of units is smaller than their sums
        inside = np.einsum("ij,ij->i", labels @ (sums @ sums.T), labels)
        with_all = labels @ (sums @ whole)
    else:
        chosen = labels @ sums
        inside, with_all = np.einsum("ij,ij->i", chosen, chosen), chosen @ whole
    own, own_pairs = np.einsum("ij,ij->i", sums, sums), counts * counts
    n = labels @ counts
    m = counts.sum() - n
    within = (inside - labels @ own) / (n * n - labels @ own_pairs)
    rest = whole @ whole - 2 * with_all + inside
    other_within = (rest - (1 - labels) @ own) / (m * m - (1 - labels) @ own_pairs)
    found: Doubles = (within + other_within) / 2 - (with_all - inside) / (n * m)
    return found
