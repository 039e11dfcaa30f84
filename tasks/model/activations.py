"""Activation functions: transformers' by their names, for rows of values that no other row changes by a bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Callable[[Tensor], Tensor]

_IN_PLACE: dict[Any, Activation] = {F.gelu: torch.ops.aten.gelu_}
"""Activations that can overwrite their input, the widest rows of a layer: 1.04x for the whole encoder."""
_REGISTERS = 64
"""Values after which PyTorch's loops for CPUs begin anew: two registers of the widest, of the narrowest type."""


def activation_named(name: str) -> Callable[[Tensor], Any]:
    """Return transformers' activation of that name (`gelu`, `gelu_new`, `relu`, …). Raises KeyError if unknown."""
    if name == "gelu":
        return F.gelu  # the same function, without a second of import
    from transformers.activations import ACT2FN

    function: Callable[[Tensor], Any] = ACT2FN[name]
    return function


def of_rows(activation: Activation) -> Activation:
    """Return the function for `(rows, values)`, which may overwrite them and depends on no other row.

    PyTorch computes the last values of a tensor, those that fill no register of a CPU, in another way, and some
    functions, such as `silu`, then differ in their last bit. Rows that are no whole registers are padded.
    """
    function = _IN_PLACE.get(activation, activation)

    def applied(x: Tensor) -> Tensor:
        if x.shape[-1] % _REGISTERS == 0 or x.device.type != "cpu":
            return function(x)
        values = F.pad(x.reshape(-1), (0, -x.numel() % _REGISTERS))
        return function(values)[: x.numel()].view(x.shape)

    return applied
