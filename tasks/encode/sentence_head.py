"""The sentence head: what happens to a sentence's vector after pooling. Dense layers, then length 1. NumPy only.

Each sentence is computed by itself, so that its vector does not depend on the others by a single bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import erf, sqrt
from pathlib import Path

import numpy as np

from polyseme.storage.errors import ModelError
from polyseme.tasks.arrays import Floats, unit
from polyseme.tasks.model.own_settings import DenseLayer

_LEAST_NORM = 1e-12
"""What sentence-transformers divides by at least."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A loaded layer: `weight` is `(out, in)`, `bias` `(out,)`."""

    weight: Floats
    bias: Floats
    activation: str

    def of(self, vector: Floats) -> Floats:
        """Return `(out,)` for a vector `(in,)`."""
        x: Floats = np.dot(self.weight, vector) + self.bias
        return _ACTIVATIONS[self.activation](x)


@dataclass(frozen=True, slots=True)
class SentenceHead:
    """Dense layers in order, and whether vectors are scaled to length 1. Without either, vectors stay as they are."""

    dense: tuple[Dense, ...] = ()
    normalize: bool = False

    @staticmethod
    def load(layers: Sequence[DenseLayer], *, normalize: bool) -> SentenceHead:
        """Load the weights. Raises ModelError if they are not those that their configuration describes."""
        return SentenceHead(tuple(map(_loaded, layers)), normalize)

    def width(self, hidden: int) -> int:
        """Return the number of dimensions that vectors of `hidden` dimensions then have."""
        return len(self.dense[-1].bias) if self.dense else hidden

    def __call__(self, vectors: Floats) -> Floats:
        """Return `(sentences, width)` for pooled vectors `(sentences, hidden)`."""
        for layer in self.dense:
            rows = np.empty((len(vectors), len(layer.bias)), np.float32)
            for row, vector in enumerate(np.ascontiguousarray(vectors)):
                rows[row] = layer.of(vector)
            vectors = rows
        return unit(vectors, least=_LEAST_NORM) if self.normalize else vectors


def _loaded(layer: DenseLayer) -> Dense:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path: Path = layer.folder / "model.safetensors"
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Fetch the checkpoint again.") from error
    weight, bias = found.get("linear.weight"), found.get("linear.bias")
    shape = (layer.width_out, layer.width_in)
    if weight is None or weight.shape != shape or (layer.bias and (bias is None or bias.shape != shape[:1])):
        raise ModelError(
            f"{path} has not the weights of a dense layer from {layer.width_in} to {layer.width_out} dimensions that "
            "its config.json describes. Fetch the checkpoint again."
        )
    added = np.zeros(shape[0], np.float32) if bias is None or not layer.bias else bias.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(added).all()):
        raise ModelError(f"{path} has weights that are not finite. Fetch the checkpoint again, or choose another.")
    return Dense(np.ascontiguousarray(weight, np.float32), added, layer.activation)


def _gelu(x: Floats) -> Floats:
    return np.array([value * 0.5 * (1 + erf(value / sqrt(2))) for value in x.tolist()], np.float32)


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "Identity": lambda x: x,
    "Tanh": lambda x: np.tanh(x).astype(np.float32),
    "ReLU": lambda x: np.maximum(x, 0).astype(np.float32),
    "Sigmoid": lambda x: (1 / (1 + np.exp(-x))).astype(np.float32),
    "GELU": _gelu,
}
