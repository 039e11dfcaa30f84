"""Linear maps over packed rows, in floating point or in integers, rounded the same however many rows there are.

`Dense` multiplies in the weights' own dtype, `Packed` in float32 with weights in oneDNN's layout. `Int8` quantizes each
row by its own range and each output column by its own scale: W8A8, dynamic per token (as in LLM.int8, Dettmers et al.
2022, without its outlier split). A sum of integers is exact in any order, so a row's result depends on that row alone.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

_FEWEST_ROWS = 16
"""With fewer rows MKL and oneDNN sum in another order, and the last bits would depend on the batch. Measured: on some
processors below 4 rows, on others (AVX512, a transposed weight as the heads have) below 16."""

_FEWEST_COLUMNS = 16
"""With fewer outputs MKL sums a row in an order that depends on its place among the others. Measured on a processor
with AVX2 alone: below 12; with a transposed weight, one output, or few of a width that is no multiple of 4."""

_ROWS_STEP = 32
"""oneDNN builds and keeps a kernel with buffers for every number of rows: a thousand of them held 1.3 GB. With
multiples of this, batches of up to 1,024 rows need 32 of them."""

_LARGEST = 64
"""Weights span -64..64, not -127..127: two products of 255 and 64 fit the 16 bits in which CPUs without VNNI add them.
Larger sums saturate silently (measured: half the sum is lost). Costs .0008 of the token cosine."""


class Linear(Protocol):
    """A map from `(rows, in)` to `(rows, out)`, best run on multiples of `rows_step` rows."""

    rows_step: ClassVar[int]

    @property
    def size(self) -> int:
        """Number of weights: half of the floating-point operations per row."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def columns(self, start: int, stop: int | None) -> Linear:
        """Return the map to the outputs `start:stop`."""


@dataclass(frozen=True, slots=True)
class Dense:
    """`x @ weight + bias`. The weight is `(in, out)`, the checkpoint's transposed: 1.04x for the encoder on CPU."""

    weight: Tensor
    bias: Tensor
    rows_step: ClassVar[int] = 1

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Dense:
        """Make the map from a checkpoint's weight `(out, in)` and bias `(out,)`."""
        return cls(weight.t().contiguous(), bias)

    @property
    def size(self) -> int:
        return self.weight.numel()

    def columns(self, start: int, stop: int | None) -> Dense:
        return Dense(self.weight[:, start:stop], self.bias[start:stop])

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias, out = self.weight, self.bias, self.weight.shape[1]
        if out < _FEWEST_COLUMNS:
            weight, bias = (torch.nn.functional.pad(t, (0, _FEWEST_COLUMNS - out)) for t in (weight, bias))
        return torch.addmm(bias, _padded(x), weight)[: len(x), :out]


@dataclass(frozen=True, slots=True)
class Packed:
    """`x @ weight + bias` by oneDNN, float32: 1.14x to 1.16x of `Dense` at the embedded model's shapes (AVX512)."""

    weight: Tensor
    """`(out, in)`, in oneDNN's layout."""
    bias: Tensor
    rows_step: ClassVar[int] = _ROWS_STEP

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Packed:
        """Make the map from a checkpoint's weight `(out, in)` and bias `(out,)`, float32 on CPU."""
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None), bias.contiguous())

    @property
    def size(self) -> int:
        return self.weight.numel()

    def columns(self, start: int, stop: int | None) -> Packed:
        return self.of(self.weight.to_dense()[start:stop], self.bias[start:stop])

    def __call__(self, x: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(_padded(x), self.weight, self.bias, "none", [], "")
        return product[: len(x)]


@dataclass(frozen=True, slots=True)
class Int8:
    """`x @ weight + bias` with both factors rounded to 8-bit integers.

    A row `x` is quantized to `low + step * q`, `q` in 0..255; a column of the weight to `scale * w`, `w` in -64..64.
    Then `x @ weight = step * scale * (q @ w) + low * slope`, where `slope = scale * sum(w)` is precomputed.
    """

    weight: Tensor
    """int8 `(out, in)`."""
    scale: Tensor
    slope_and_bias: Tensor
    """`(2, out)`."""
    packed: Any
    """The weight in oneDNN's layout."""
    rows_step: ClassVar[int] = _ROWS_STEP

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Int8:
        """Make the map from a checkpoint's weight `(out, in)` and bias `(out,)`, float32 on CPU."""
        scale = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / _LARGEST
        return cls._pack((weight / scale[:, None]).round().to(torch.int8), scale, bias)

    @classmethod
    def _pack(cls, weight: Tensor, scale: Tensor, bias: Tensor) -> Int8:
        slope = weight.sum(1).float() * scale
        packed = torch.ops.onednn.qlinear_prepack(weight.contiguous(), None)
        return cls(weight, scale.contiguous(), torch.stack([slope, bias]), packed)

    @property
    def size(self) -> int:
        return self.weight.numel()

    def columns(self, start: int, stop: int | None) -> Int8:
        chosen = slice(start, stop)
        return self._pack(self.weight[chosen], self.scale[chosen], self.slope_and_bias[1, chosen])

    def __call__(self, x: Tensor) -> Tensor:
        # One fused pass: each row is `q`, followed by the eight bytes of `step` and `low`.
        rows = torch.ops.quantized.embedding_bag_byte_prepack(x)
        width = x.shape[1]
        step, low = rows[:, width:].flatten().clone().view(torch.float32).view(-1, 2).split(1, dim=1)
        product = torch.ops.onednn.qlinear_pointwise(
            rows[:, :width].contiguous(), 1.0, 0, self.packed, self.scale, _no_offsets(len(self.scale)), None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        slope, bias = self.slope_and_bias
        return torch.addcmul(bias, low, slope).addcmul_(product, step)


def exact_for(device: torch.device, dtype: torch.dtype) -> Callable[[Tensor, Tensor], Linear]:
    """Return the constructor of the fastest floating-point map there, from a weight `(out, in)` and a bias `(out,)`."""
    packs = runs_int8(device) and dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return Packed.of if packs else Dense.of


def _padded(x: Tensor) -> Tensor:
    missing = _FEWEST_ROWS - len(x)
    return torch.cat([x, x.new_zeros(missing, x.shape[1])]) if missing > 0 else x


def _no_offsets(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int32)


def runs_int8(device: torch.device) -> bool:
    """Return whether `Int8` runs there: it needs oneDNN's integer products, which PyTorch has on x86 CPUs."""
    return device.type == "cpu" and torch._C._has_mkldnn and platform.machine() in ("x86_64", "AMD64")
