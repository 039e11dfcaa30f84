"""Rotary positions (Su et al. 2021, *RoFormer*): queries and keys turned by an angle that grows with their position.

Dimensions are paired half by half, as in GPT-NeoX: the first of the first half with the first of the second.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class Rotary:
    """The cosines and sines of all positions of a model, for heads of one size.

    `theta` is the base: the slowest pair of dimensions turns by about 1 / theta a token.
    """

    def __init__(self, size: int, theta: float, *, limit: int, device: torch.device) -> None:
        frequencies = 1.0 / (theta ** (torch.arange(0, size, 2, dtype=torch.float32, device=device) / size))
        angles = torch.arange(limit, dtype=torch.float32, device=device)[:, None] * frequencies
        self._cos, self._sin = angles.cos(), angles.sin()

    def angles(self, positions: Tensor, *, rows: int) -> tuple[Tensor, Tensor]:
        """Return cosines and sines `(rows, 1, size / 2)` for `positions`, those of position 0 for further rows."""
        filled = F.pad(positions, (0, rows - len(positions)))
        cos, sin = (F.embedding(filled, table)[:, None] for table in (self._cos, self._sin))
        return cos, sin


def turned(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Return `(rows, heads, size)` turned by the angles of each row, in float32 whatever the dtype."""
    cos, sin = angles
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
