"""Attention over packed rows: every sequence attends to itself alone, and no row is padding.

`q` is `(queries, heads, size)`, `k` and `v` are `(tokens, heads, size)`, views into one product. There are as many
queries as tokens, or one per sequence (if only `[CLS]` is needed). Rows after the last sequence fill up a batch;
`by_groups` returns zeros for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Groups = Sequence[tuple[int, int]]
"""Runs of (sequences, length), in the order of the rows."""
Attention = Callable[[Tensor, Tensor, Tensor, Groups, Tensor], Tensor]
"""`(q, k, v, groups, bounds)` to `(queries, hidden)`; `bounds` is int32 `(sequences + 1,)`: sequence `i` has the rows
`bounds[i]:bounds[i + 1]`."""

_HEAD_STEP = 16
"""Heads are padded to a multiple of this size: MKL rounds by alignment, and 16 floats are 64 bytes. Most have 64."""
_FLASH_STEP, _FLASH_MOST = 8, 256
"""Flash attention takes head sizes that are a multiple of the first and at most the second."""
_FLASH_CAPABILITY = (8, 0)
"""The oldest GPUs that its kernel runs on (Ampere). On older ones the first call fails."""


def attention_for(device: torch.device, dtype: torch.dtype, head_size: int) -> Attention:
    """Return flash attention if it runs there (CUDA, 16-bit dtypes), else attention by groups of equal length."""
    fits = dtype in (torch.bfloat16, torch.float16) and head_size % _FLASH_STEP == 0 and head_size <= _FLASH_MOST
    flash = device.type == "cuda" and fits and torch.backends.cuda.is_flash_attention_available()
    return by_flash if flash and torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY else by_groups


def by_groups(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
    """Attend once per group of sequences of equal length (on CPU a dense block mask is 8x slower, measured)."""
    heads, size = q.shape[1:]
    out = q.new_empty(len(q), heads, size)
    row = done = 0
    for count, length in groups:
        queries = length if len(q) == len(k) else 1
        rows, mine = slice(row, row + count * length), slice(done, done + count * queries)
        q_heads = q[mine].view(count, queries, heads, size).transpose(1, 2)
        k_heads, v_heads = (x[rows].view(count, length, heads, size).transpose(1, 2) for x in (k, v))
        attended = attend(q_heads, k_heads, v_heads).transpose(1, 2)
        out[mine].view(count, queries, heads, size).copy_(attended)
        row, done = rows.stop, mine.stop
    out[done:] = 0
    return out.view(len(q), heads * size)


def by_flash(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
    """Attend in all sequences at once, each within its bounds (Dao 2023, *FlashAttention-2*, variable length)."""
    return unsplit_flash(q, k, v, groups, bounds)


def unsplit_flash(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor, **options: Any) -> Tensor:
    """Attend as `by_flash`, with further `options` of its kernel.

    A sequence's keys are never split, which would sum them in an order that depends on the longest sequence of the
    batch. Since torch 2.13 that is an argument. In 2.11 there is none: its FlashAttention-2 splits only for a paged
    cache or for fewer key heads than query heads, and there are neither here. So a sequence's result does not depend on
    its batch there either, unless another kernel is installed with `activate_flash_attention_impl`.
    """
    from torch.nn.attention import varlen

    longest = max(length for _, length in groups)
    options |= _unsplit(varlen.varlen_attn)
    if len(q) == len(k):
        out = varlen.varlen_attn(q, k, v, bounds, bounds, longest, longest, **options)
    else:
        each = torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)
        out = varlen.varlen_attn(q, k, v, each, bounds, 1, longest, **options)
    assert isinstance(out, Tensor)
    return out.reshape(len(q), -1)


def kernel_takes(option: str) -> bool:
    """Return whether the flash attention of the installed torch has an argument of that name."""
    from torch.nn.attention import varlen

    return option in inspect.signature(varlen.varlen_attn).parameters


@lru_cache(maxsize=1)
def _unsplit(kernel: Callable[..., object]) -> Mapping[str, Any]:
    """Return the arguments that keep `kernel` from splitting keys: those that the installed torch has.

    ROCm's kernel does not split, and rejects the argument.
    """
    known = "num_splits" in inspect.signature(kernel).parameters
    return {"num_splits": 1} if known and torch.version.hip is None else {}


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention over `(sequences, heads, length, size)`, rounded the same wherever a sequence lies in memory.

    A `bias` of the scores, or a boolean mask of the keys to attend to, is `(heads or 1, queries, keys)`.
    """
    size = q.shape[-1]
    missing = -size % _HEAD_STEP
    if missing:
        q, k, v = (F.pad(x, (0, missing)) for x in (q, k, v))
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v, scale=size**-0.5)[..., :size]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=size**-0.5)[..., :size]
