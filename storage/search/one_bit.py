"""One-bit codes of unit vectors, and what they say of a cosine: RaBitQ (Gao & Long 2024, doi 10.1145/3654970).

A vector less the centre of all is rotated, and of each number only the sign is kept. With two numbers for each vector,
its signs give an unbiased estimate of its cosine with any question, whose error falls with the root of the width. The
rotation spreads what is in a few outlying dimensions over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polyseme.storage.search.cells import CellNumbers, nearest_cell
from polyseme.storage.search.unit_vectors import Floats

Halves = npt.NDArray[np.float16]
Words = npt.NDArray[np.uint64]
"""Codes, `(words, rows)`: 64 bits of every row after one another, as a scan reads them."""

_BLOCK = 512
"""Dimensions that are rotated together: a matrix of all would cost a model of 4,096 of them eight times as much."""
_SEED = 2024
_DEVIATION = 0.755
"""Of a random direction's product with its signs, which is 0.798: the root of 1 less its square, by it."""


class Coded(NamedTuple):
    """Codes `(words, rows)`, and of each row the scale of what its signs say, its cosine with the centre, its cell."""

    bits: Words
    scale: Halves
    offset: Halves
    cell: CellNumbers


@dataclass(frozen=True, slots=True)
class Question:
    """A unit vector as codes are compared with it: `bits` `(words,)`, `rotated` `(width,)`, `constant`.

    `of_bytes` `(bytes, 256)` is the sum of its numbers with the signs that each byte of a code stands for, `cells` are
    all cells, the nearest first.
    """

    bits: Words
    rotated: Floats
    constant: float
    of_bytes: Floats
    cells: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """What codes are relative to: a centre `(width,)`, near the mean of the vectors. A better one makes them better.

    `cells` `(cells, width)` are the directions from there of the cells that rows are in, none for one cell of all.
    """

    centre: Floats
    cells: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def identity(self) -> bytes:
        """What two frames have in common whose codes can be compared."""
        return self.centre.tobytes() + self.cells.tobytes()

    @property
    def width(self) -> int:
        """The dimensions of a vector."""
        return len(self.centre)

    @property
    def words(self) -> int:
        """How many times 64 bits a code has."""
        return -(-self.width // 64)

    def encode(self, unit: Floats) -> Coded:
        """Return the codes of vectors `(rows, width)` of length 1."""
        offset = unit @ self.centre
        about = unit - self.centre
        turned = _rotated(about)
        lengths = np.einsum("ij,ij->i", turned, turned)
        sums = np.abs(turned).sum(1)
        scale = np.divide(lengths, sums, out=np.zeros_like(sums), where=sums > 0)
        cell = nearest_cell(about, self.cells)
        return Coded(self._packed(turned), scale.astype(np.float16), offset.astype(np.float16), cell)

    def question(self, unit: Floats) -> Question:
        """Return a vector `(width,)` of length 1 as a question."""
        turned = _rotated((unit - self.centre)[None])
        constant = float(unit @ self.centre - self.centre @ self.centre)
        numbers = np.zeros(64 * self.words, np.float32)
        numbers[: self.width] = turned[0]
        signs = 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) - 1
        near = np.argsort(-(self.cells @ (unit - self.centre)), kind="stable") if len(self.cells) else np.zeros(1, int)
        return Question(self._packed(turned)[:, 0], turned[0], constant, numbers.reshape(-1, 8) @ signs.T, near)

    def _packed(self, turned: Floats) -> Words:
        packed = np.zeros((len(turned), self.words * 8), np.uint8)
        packed[:, : -(-self.width // 8)] = np.packbits(turned > 0, axis=1)
        return np.ascontiguousarray(packed.view("<u8").T)


class Estimates(NamedTuple):
    """About the cosine of a question with each of some rows, and the standard deviation of its error."""

    cosine: Floats
    deviation: Floats


def estimates(question: Question, coded: Coded, frame: Frame) -> Estimates:
    """Return what codes of a frame say of the cosines of a question with their rows: 1 where they were damaged."""
    codes = np.ascontiguousarray(coded.bits).view(np.uint8).reshape(len(coded.bits), -1, 8)
    offset = coded.offset.astype(np.float32)
    along = np.zeros(len(offset), np.float32)
    for number, sums in enumerate(question.of_bytes):
        along += sums.take(codes[number // 8, :, number % 8])
    cosine = coded.scale.astype(np.float32) * along + offset + np.float32(question.constant)
    squares = 1 - 2 * offset + frame.centre @ frame.centre  # of the distance from the centre
    spread = _DEVIATION * np.linalg.norm(question.rotated) / np.sqrt(max(frame.width - 1, 1))
    deviation = np.sqrt(np.maximum(squares, 0)) * spread
    return Estimates(np.nan_to_num(cosine, nan=1), np.nan_to_num(deviation.astype(np.float32)))


def _rotated(vectors: Floats) -> Floats:
    turned = np.empty_like(vectors)
    for first in range(0, vectors.shape[1], _BLOCK):
        some = vectors[:, first : first + _BLOCK]
        turned[:, first : first + _BLOCK] = some @ _rotation(some.shape[1])
    return turned


@lru_cache(maxsize=4)
def _rotation(width: int) -> Floats:
    """Return a random rotation: signs are changed at random, and dimensions mixed by a Hadamard matrix, four times.

    Such a matrix has a power of two dimensions, so that it mixes the first and the last in turn. The same on every
    machine, because codes are kept longer than the version of a library: the numbers of RandomState never change.
    """
    random = np.random.RandomState(_SEED)
    size = 1 << (width.bit_length() - 1)
    mixing = np.ones((1, 1))
    while len(mixing) < size:
        mixing = np.block([[mixing, mixing], [mixing, -mixing]])
    mixing /= np.sqrt(size)
    rotation = np.eye(width)
    for some in (slice(size), slice(width - size, width)) * 2:
        rotation *= random.choice((-1.0, 1.0), width)
        rotation[:, some] = rotation[:, some] @ mixing
    return rotation.astype(np.float32)
