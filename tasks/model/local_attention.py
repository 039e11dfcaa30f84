"""Attention to neighbours only: each token sees the `window` tokens to each side, in its own sequence.

On CPU a long sequence is cut into blocks of queries, each with the keys that one of them may see, so that the work
grows with the length and not with its square.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from polyseme.tasks.model.attention import (
    Attention,
    Groups,
    attend,
    attention_for,
    by_flash,
    kernel_takes,
    unsplit_flash,
)

_BLOCK = 128
"""Queries of a block."""


def local_attention_for(device: torch.device, dtype: torch.dtype, head_size: int, window: int) -> Attention:
    """Return flash attention within the window if it runs there, else attention by groups and blocks.

    In torch 2.11 the kernel takes no window: full attention by flash would be another model.
    """

    def flash(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
        return unsplit_flash(q, k, v, groups, bounds, window_size=(window, window))

    runs = attention_for(device, dtype, head_size) is by_flash and kernel_takes("window_size")
    return flash if runs else by_blocks(window)


def by_blocks(window: int) -> Attention:
    """Return attention that runs once per group of equal length and block; every token is a query."""

    def blocks(q: Tensor, k: Tensor, v: Tensor, groups: Groups, bounds: Tensor) -> Tensor:
        heads, size = q.shape[1:]
        out = q.new_zeros(len(q), heads, size)
        row = 0
        for count, length in groups:
            rows = slice(row, row + count * length)
            grouped = [x[rows].view(count, length, heads, size).transpose(1, 2) for x in (q, k, v)]
            _attend_group(window, *grouped, out=out[rows].view(count, length, heads, size))
            row = rows.stop
        return out.view(len(q), heads * size)

    return blocks


def _attend_group(window: int, q: Tensor, k: Tensor, v: Tensor, *, out: Tensor) -> None:
    length = q.shape[2]
    if length <= window + 1:
        out.copy_(attend(q, k, v).transpose(1, 2))
        return
    step = max(_BLOCK, window)
    for first in range(0, length, step):
        last = min(length, first + step)
        begin, end = max(0, first - window), min(length, last + window)
        mask = _within(window, first - begin, last - first, end - begin).to(q.device)
        seen = attend(q[:, :, first:last], k[:, :, begin:end], v[:, :, begin:end], mask)
        out[:, first:last].copy_(seen.transpose(1, 2))


@lru_cache(maxsize=256)
def _within(window: int, offset: int, queries: int, keys: int) -> Tensor:
    """Return bool `(1, queries, keys)`: whether a query, whose place among the keys is `offset` more, sees a key."""
    places = torch.arange(queries)[:, None] + offset
    return ((places - torch.arange(keys)).abs() <= window)[None]
