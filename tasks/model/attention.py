"""Attention over packed rows: every sequence attends to itself alone, and no row is padding.

`q` is `(queries, heads, size)`, `k` and `v` are `(tokens, heads, size)`, views as they come out of one product. There
are as many queries as tokens, or one a sequence (where only `[CLS]` is wanted). Rows behind the last sequence fill up
a batch; by groups they come out as zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Groups = Sequence[tuple[int, int]]
"""Runs of (sequences, length), in the order of the rows."""
Attention = Callable[[Tensor, Tensor, Tensor, Groups, Tensor], Tensor]
"""`(q, k, v, groups, bounds)` to `(queries, hidden)`; `bounds` is int32 `(sequences + 1,)`: the rows between them."""

_HEAD_STEP = 16
"""A head is widened to a multiple of this: MKL rounds by alignment, and 16 floats are 64 bytes. Usual heads are 64."""
_FLASH_STEP, _FLASH_MOST = 8, 256
"""Flash attention takes heads of a multiple of this, and no wider ones."""
_FLASH_CAPABILITY = (8, 0)
"""The oldest GPUs that its kernel runs on (Ampere). Older ones refuse it at the first call."""


def attention_for(device: torch.device, dtype: torch.dtype, head_size: int) -> Attention:
    """Return flash attention where it runs (CUDA, two-byte numbers), else attention by groups of equal length."""
    fits = dtype in (torch.bfloat16, torch.float16) and head_size % _FLASH_STEP == 0 and head_size <= _FLASH_MOST
    flash = device.type == "cuda" and fits and torch.backends.cuda.is_flash_attention_available()
    return by_flash if flash and torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY else by_groups


def by_groups(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
    """Attend once for each group of sequences of equal length (a dense block mask measured 8x slower on CPU)."""
    heads, size = q.shape[1:]
    out = q.new_empty(len(q), heads, size)
    row = done = 0
    for count, length in groups:
        queries = length if len(q) == len(k) else 1
        rows, mine = slice(row, row + count * length), slice(done, done + count * queries)
        q_heads = q[mine].view(count, queries, heads, size).transpose(1, 2)
        k_heads, v_heads = (x[rows].view(count, length, heads, size).transpose(1, 2) for x in (k, v))
        attended = _attention(q_heads, k_heads, v_heads).transpose(1, 2)
        out[mine].view(count, queries, heads, size).copy_(attended)
        row, done = rows.stop, mine.stop
    out[done:] = 0
    return out.view(len(q), heads * size)


def by_flash(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
    """Attend to all sequences at once, each within its own bounds (Dao 2023, *FlashAttention-2*, variable length)."""
    from torch.nn.attention.varlen import varlen_attn

    longest = max(length for _, length in groups)
    # Left to itself the kernel splits a sequence's keys by what else is in the batch, and sums them in another order.
    # ROCm's kernel has no such choice and takes no such argument.
    splits = 1 if torch.version.hip is None else None
    if len(q) == len(k):
        out = varlen_attn(q, k, v, bounds, bounds, longest, longest, num_splits=splits)
    else:
        each = torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)
        out = varlen_attn(q, k, v, each, bounds, 1, longest, num_splits=splits)
    assert isinstance(out, Tensor)
    return out.reshape(len(q), -1)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `(sequences, heads, length, size)`, rounded alike wherever in memory a sequence lies."""
    size = q.shape[-1]
    missing = -size % _HEAD_STEP
    if missing:
        q, k, v = (F.pad(x, (0, missing)) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=size**-0.5)[..., :size]
