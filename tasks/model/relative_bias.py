"""A bias of attention by relative position, as T5 and MPNet have it: one number for each head and distance.

Distances are sorted into 32 buckets: each direction has eight for single distances and eight for ranges, logarithmic up
to 128 (Raffel et al. 2020, section 2.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyseme.tasks.model.attention import Groups, attend

_BUCKETS = 32
_FARTHEST = 128


class RelativeBias:
    """The bias between all positions up to a limit; a shorter sequence has its first rows and columns."""

    def __init__(self, weights: Tensor, limit: int) -> None:
        """Take `(buckets, heads)`, at least 32 buckets, and the most tokens of a sequence."""
        distance = torch.arange(1 - limit, limit, device=weights.device)
        by_distance = weights[buckets(distance)].t()
        # Row i has the distances -i, 1 - i, ...: windows into one vector, from its middle backwards.
        self._bias = by_distance.unfold(1, limit, 1).flip(1).contiguous()

    def attend(self, q: Tensor, k: Tensor, v: Tensor, groups: Groups) -> Tensor:
        """Attend as `attention.by_groups`, with the bias added to the scores; every token is a query."""
        heads, size = q.shape[1:]
        out = q.new_zeros(len(q), heads, size)
        row = 0
        for count, length in groups:
            rows = slice(row, row + count * length)
            q_heads, k_heads, v_heads = (x[rows].view(count, length, heads, size).transpose(1, 2) for x in (q, k, v))
            bias = self._bias[:, :length, :length]
            out[rows].view(count, length, heads, size).copy_(attend(q_heads, k_heads, v_heads, bias).transpose(1, 2))
            row = rows.stop
        return out.view(len(q), heads * size)


def buckets(distance: Tensor) -> Tensor:
    """Return the bucket of each distance of a key from its query, int64."""
    half = _BUCKETS // 2
    single = half // 2
    far = distance.abs().clamp_min(1)
    ranged = single + (torch.log(far.float() / single) / math.log(_FARTHEST / single) * (half - single)).long()
    within = torch.where(distance.abs() < single, distance.abs(), ranged.clamp_max(half - 1))
    return within + half * (distance > 0)
