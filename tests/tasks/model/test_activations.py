"""Activations are transformers' own, and no value depends on the rows beside it."""

from __future__ import annotations

import pytest
import torch

from polyseme.tasks.model.activations import activation_named, of_rows

NAMES = ("gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "silu", "mish", "relu", "tanh", "sigmoid")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [1, 14, 33, 64, 70])
def test_a_row_has_the_same_values_alone_and_among_others(width: int, name: str, dtype: torch.dtype) -> None:
    rows = torch.randn(20, width, generator=torch.Generator().manual_seed(0)).to(dtype) * 3
    function = of_rows(activation_named(name))
    together = function(rows.clone())
    assert together.shape == rows.shape
    assert torch.allclose(together, activation_named(name)(rows), atol=1e-2 if dtype == torch.bfloat16 else 1e-6)
    for i in range(len(rows)):
        assert (function(rows[i : i + 1].clone()) == together[i]).all()


@pytest.mark.parametrize("name", NAMES)
def test_half_of_a_row_is_a_row(name: str) -> None:
    whole = torch.randn(20, 2 * 33, generator=torch.Generator().manual_seed(0))
    function = of_rows(activation_named(name))
    left = function(whole.clone().chunk(2, dim=-1)[0])
    assert (left == function(whole[:, :33].clone())).all()
