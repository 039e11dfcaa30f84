"""MinHash and locality-sensitive hashing: which of many sets may be as alike as asked for, without comparing all pairs.

A signature is 128 numbers of a set, and each is the same in two sets with a probability of their Jaccard similarity.
Bands of it are looked up: sets that share one are candidates (Broder 1997; Indyk and Motwani 1998). Signatures are made
by rensa (R-MinHash, after Dahlgaard, Knudsen and Thorup 2017), of the extra `duplicates`; the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from polyseme.storage.errors import PolysemeError
from polyseme.tasks.analysis.shingles import Shingles
from polyseme.tasks.arrays import Ints

Signatures: TypeAlias = npt.NDArray[np.uint32]
"""`(sets, NUMBERS)`."""

NUMBERS = 128
SEED = 1
RECALL = 0.99
"""The least share of the pairs that are just as alike as asked for which bands find; of those more alike, more."""


def scheme() -> str:
    """Return what decides which signature a set has. Raises PolysemeError without the package that makes them."""
    return f"R-MinHash {_minhash().ALGORITHM_VERSION}, {NUMBERS} numbers, seed {SEED}"


def sign(sets: Sequence[Shingles]) -> Signatures:
    """Return the signatures of sets, zeros for an empty one. Raises PolysemeError without the package for it."""
    found = np.zeros((len(sets), NUMBERS), np.uint32)
    filled = [i for i, one in enumerate(sets) if len(one)]
    if filled:
        flat = np.concatenate([sets[i] for i in filled])
        ends = np.cumsum([0, *(len(sets[i]) for i in filled)], dtype=np.uint64)
        found[filled] = _minhash().digest_matrix_from_flat_token_hashes(flat, ends, NUMBERS, SEED).to_rows()
    return found


def band_rows(at_least: float) -> int:
    """Return how many numbers a band has for pairs of that similarity: as many as leave `RECALL` of them."""
    found = (rows for rows in range(NUMBERS, 1, -1) if 1 - (1 - at_least**rows) ** (NUMBERS // rows) >= RECALL)
    return next(found, 1)


class Buckets:
    """The sets that share bands of their signatures."""

    def __init__(self, signatures: Signatures, at_least: float) -> None:
        rows = band_rows(at_least)
        self._bands = [_Band(signatures[:, i : i + rows]) for i in range(0, NUMBERS - rows + 1, rows)]

    def mates(self, one: int) -> Ints:
        """Return the sets that share a band with the set in place `one`, itself included, in ascending order."""
        return np.unique(np.concatenate([band.mates(one) for band in self._bands]))

    def shared(self) -> npt.NDArray[np.bool_]:
        """Return for each set whether it shares a band with another."""
        found: npt.NDArray[np.bool_] = np.any([band.sizes[band.bucket] > 1 for band in self._bands], axis=0)
        return found


class _Band:
    """The sets with the same numbers in one band: the bucket of each set, and the sets of each bucket."""

    def __init__(self, numbers: Signatures) -> None:
        whole = np.ascontiguousarray(numbers).view(f"V{numbers.shape[1] * numbers.itemsize}").ravel()
        _, self.bucket, self.sizes = np.unique(whole, return_inverse=True, return_counts=True)
        self._sets = np.argsort(self.bucket, kind="stable")
        self._starts = np.cumsum([0, *self.sizes[:-1]])

    def mates(self, one: int) -> Ints:
        bucket = self.bucket[one]
        start = self._starts[bucket]
        return self._sets[start : start + self.sizes[bucket]]


def _minhash() -> Any:
    try:
        from rensa import RMinHash
    except ImportError as error:
        raise PolysemeError(
            f"Documents that are nearly the same are found by the package rensa, which is not installed ({error}). "
            "Install it: pip install 'polyseme[duplicates]'. Those that are the same word for word need none: "
            "polyseme duplicates --exact, or FROM duplicate_documents."
        ) from error
    return RMinHash
