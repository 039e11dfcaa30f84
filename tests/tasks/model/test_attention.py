"""Both implementations of attention agree, with one query per token and with one per sequence.

Flash attention itself needs CUDA: here a plain loop replaces the kernel and checks that rows, bounds and lengths are
passed as PyTorch documents them.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.tasks.model.attention import attention_for, by_flash, by_groups

GROUPS = ((2, 9), (1, 5), (3, 2), (1, 1))


def with_num_splits(*arguments: Any, num_splits: int | None) -> Tensor:
    """`torch.nn.attention.varlen.varlen_attn` of torch 2.13, by its documentation."""
    assert num_splits == 1  # otherwise a sequence's sums depend on its batch
    return without_num_splits(*arguments)


def without_num_splits(  # noqa: PLR0917 - as the kernel's own
    q: Tensor, k: Tensor, v: Tensor, q_at: Tensor, k_at: Tensor, q_most: int, k_most: int
) -> Tensor:
    """The same of torch 2.11, which never splits the keys of as many heads as queries have."""
    assert q_at.dtype == k_at.dtype == torch.int32
    assert q_at[0] == k_at[0] == 0
    assert (int(q_at[-1]), int(k_at[-1])) == (len(q), len(k))
    assert (int(q_at.diff().max()), int(k_at.diff().max())) == (q_most, k_most)
    parts = []
    for i in range(len(q_at) - 1):
        heads = (x[at[i] : at[i + 1]].transpose(0, 1) for x, at in ((q, q_at), (k, k_at), (v, k_at)))
        parts.append(F.scaled_dot_product_attention(*heads).transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture(params=[with_num_splits, without_num_splits])
def no_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention import varlen

    monkeypatch.setattr(varlen, "varlen_attn", request.param)


def rows(count: int, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    qkv = torch.randn(count, 3, 4, 16, generator=torch.Generator().manual_seed(0), **options)
    q, k, v = qkv.unbind(1)
    return q, k, v


def starts() -> Tensor:
    lengths = torch.tensor([length for count, length in GROUPS for _ in range(count)])
    return lengths.cumsum(0) - lengths


def bounds() -> Tensor:
    return F.pad(starts(), (0, 1), value=30).int()


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("queries", ["every token", "[CLS] alone"])
def test_flash_attention_and_groups_agree(queries: str) -> None:
    q, k, v = rows(30)
    if queries == "[CLS] alone":
        q = q[starts()]
    grouped = by_groups(q, k, v, GROUPS, bounds())
    assert grouped.shape == (len(q), 64)
    torch.testing.assert_close(by_flash(q, k, v, GROUPS, bounds()), grouped)


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


@pytest.mark.usefixtures("ampere")
def test_flash_attention_is_for_cuda_and_16_bit_dtypes() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert attention_for(cuda, torch.bfloat16, 64) is by_flash
    assert attention_for(cuda, torch.bfloat16, 6) is by_groups
    assert attention_for(cuda, torch.bfloat16, 264) is by_groups
    assert attention_for(cuda, torch.float32, 64) is by_groups
    assert attention_for(cpu, torch.bfloat16, 64) is by_groups


@pytest.mark.usefixtures("ampere")
def test_a_gpu_or_a_build_without_the_kernel_attends_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    with monkeypatch.context() as turing:
        turing.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        assert attention_for(cuda, torch.bfloat16, 64) is by_groups
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: False)
    assert attention_for(cuda, torch.bfloat16, 64) is by_groups
