"""A peer: another way from sentences to mean-pooled vectors, and the batch it is fastest with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.race import race

BATCHES = (1, 4, 8, 16, 32, 64)
"""What a peer is tuned over."""
_TRIES = 2
"""The first may build kernels for shapes that it meets for the first time."""

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str], int], Vectors]


@dataclass(frozen=True, slots=True)
class Peer:
    """`encode(sentences, batch)` returns `(sentences, width)`, in the order of its input.

    It is raced with every batch of `batches`, and with its best one if it is `tuned`. A peer without either takes no
    batch: it is raced as it is. Vectors of an int8 peer are near Polyseme's, those of the others are the same.
    """

    name: str
    encode: Encode
    batches: tuple[int, ...] = ()
    tuned: bool = False
    precision: Literal["fp32", "int8"] = "fp32"


def tune(peer: Peer, sentences: Sequence[str]) -> dict[int, float]:
    """Return CPU seconds of `peer` over `sentences` by batch, each the better of two tries."""
    tries = race({str(size): lambda n=size: peer.encode(sentences, n) for size in BATCHES}, _TRIES, warm=True)
    return {int(size): min(times.cpu) for size, times in tries.items()}


def likeness(found: Vectors, exact: Vectors) -> tuple[float, float]:
    """Return the mean and the least cosine between the rows of both."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    cosines = (found * exact).sum(1) / lengths
    return float(cosines.mean()), float(cosines.min())
