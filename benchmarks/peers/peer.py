"""A peer: another implementation from sentences to mean-pooled vectors, and its fastest batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.race import race

BATCHES = (1, 4, 8, 16, 32, 64)
"""The batch sizes tried for each peer."""
_TRIES = 2
"""The first may build kernels for new shapes."""

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str], int], Vectors]


@dataclass(frozen=True, slots=True)
class Peer:
    """`encode(sentences, batch)` returns `(sentences, width)`, in the order of its input.

    It is timed with every batch size of `batches`, and with its best one if it is `tuned`. A peer without either has no
    batch size. Vectors of an int8 peer are close to Polyseme's, those of the others are the same.
    """

    name: str
    encode: Encode
    batches: tuple[int, ...] = ()
    tuned: bool = False
    precision: Literal["fp32", "int8"] = "fp32"


def tune(peer: Peer, sentences: Sequence[str]) -> dict[int, float]:
    """Return the CPU seconds of `peer` over `sentences` by batch size, each the best of two tries."""
    tries = race({str(size): lambda n=size: peer.encode(sentences, n) for size in BATCHES}, _TRIES, warm=True)
    return {int(size): min(times.cpu) for size, times in tries.items()}


def likeness(found: Vectors, exact: Vectors) -> tuple[float, float]:
    """Return the mean and the least cosine between corresponding rows."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    cosines = (found * exact).sum(1) / lengths
    return float(cosines.mean()), float(cosines.min())
