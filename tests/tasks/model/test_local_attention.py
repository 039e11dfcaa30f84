"""Attention to neighbours alone is the same by flash, by blocks and by a mask of the whole sequence.

Flash attention itself needs CUDA: here a plain loop replaces the kernel, with and without an argument for the window.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import varlen

from polyseme.tasks.model.local_attention import by_blocks, local_attention_for

GROUPS = ((1, 300), (2, 129), (1, 6), (3, 1))
ROWS = sum(count * length for count, length in GROUPS)
CUDA = torch.device("cuda")


def with_windows(  # noqa: PLR0917 - as the kernel's own
    q: Tensor, k: Tensor, v: Tensor, q_at: Tensor, k_at: Tensor, q_most: int, k_most: int,
    *, num_splits: int | None, window_size: tuple[int, int],
) -> Tensor:  # fmt: skip
    """`torch.nn.attention.varlen.varlen_attn` of torch 2.13, by its documentation."""
    assert num_splits == 1
    before, after = window_size
    parts = []
    for first, last in zip(k_at[:-1].tolist(), k_at[1:].tolist(), strict=True):
        place = torch.arange(last - first)
        step = place - place[:, None]
        heads = (x[first:last].transpose(0, 1) for x in (q, k, v))
        seen = (step >= -before) & (step <= after)
        parts.append(F.scaled_dot_product_attention(*heads, attn_mask=seen).transpose(0, 1))
    return torch.cat(parts)


def without_windows(  # noqa: PLR0917 - as the kernel's own
    q: Tensor, k: Tensor, v: Tensor, q_at: Tensor, k_at: Tensor, q_most: int, k_most: int, *, scale: float | None = None
) -> Tensor:
    """The same of torch 2.11: it would attend to the whole sequence."""
    raise AssertionError("full attention is not local attention")


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


@pytest.mark.usefixtures("ampere")
@pytest.mark.parametrize("window", [0, 3, 64, 200])
@pytest.mark.parametrize("kernel", [with_windows, without_windows])
def test_a_kernel_without_windows_is_replaced_and_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, kernel: object, window: int
) -> None:
    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    q, k, v = torch.randn(ROWS, 3, 4, 16, generator=torch.Generator().manual_seed(0)).unbind(1)
    lengths = torch.tensor([length for count, length in GROUPS for _ in range(count)])
    bounds = F.pad(lengths.cumsum(0), (1, 0)).int()
    attend = local_attention_for(CUDA, torch.bfloat16, 16, window)
    found = attend(q, k, v, GROUPS, bounds)
    expected = with_windows(q, k, v, bounds, bounds, 300, 300, num_splits=1, window_size=(window, window))
    torch.testing.assert_close(found, expected.reshape(ROWS, 64))
    torch.testing.assert_close(found, by_blocks(window)(q, k, v, GROUPS, bounds))
