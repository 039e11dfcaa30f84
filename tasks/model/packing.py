"""Packing: windows of token ids concatenated into one batch without padding, and the source token of each row.

Knows no model; arrays are built here and copied to the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polyseme.tasks.arrays import Ints
from polyseme.tasks.model.bert import PackedBatch
from polyseme.tasks.model.devices import to_device
from polyseme.tasks.text.windows import Windows


@dataclass(frozen=True, slots=True)
class Specials:
    """Ids of the special tokens at the ends of a window."""

    cls: int
    sep: int


def pack(
    ids: npt.NDArray[np.int32], windows: Windows, numbers: Ints, specials: Specials, device: torch.device
) -> tuple[PackedBatch, Ints]:
    """Concatenate the windows `numbers` (longest first) into one batch.

    Return the batch and, for every row, the position of its token in `ids` (-1 for special tokens).
    """
    lengths = windows.lengths[numbers]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    row_window = np.repeat(numbers, lengths)
    position = np.arange(int(stops[-1])) - np.repeat(starts, lengths)
    a_len = (windows.a_stop - windows.a_start)[row_window]
    in_a = (position >= 1) & (position <= a_len)
    in_b = (position >= a_len + 2) & (position < np.repeat(lengths, lengths) - 1)
    source = np.full(len(position), -1, dtype=np.int64)
    source[in_a] = (windows.a_start[row_window] + position - 1)[in_a]
    source[in_b] = (windows.b_start[row_window] + position - a_len - 2)[in_b]
    token = np.where(position == 0, specials.cls, specials.sep)
    inside = source >= 0
    token[inside] = ids[source[inside]]
    edges = np.flatnonzero(np.diff(lengths)) + 1
    runs = np.split(lengths, edges)

    batch = PackedBatch(
        ids=to_device(token.astype(np.int64), device),
        types=to_device((position >= a_len + 2).astype(np.int64), device),
        positions=to_device(position, device),
        groups=tuple((len(run), int(run[0])) for run in runs),
        starts=to_device(starts, device),
        bounds=to_device(np.append(0, stops).astype(np.int32), device),
    )
    return batch, source
