"""Packing: windows of token ids concatenated into one batch without padding, and the source token of each row.

Knows no model; arrays are built here and copied to the device.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from polyseme.tasks.arrays import Ints
from polyseme.tasks.model.devices import to_device
from polyseme.tasks.model.packed import PackedBatch
from polyseme.tasks.text.windows import Windows


def pack(ids: npt.NDArray[np.int32], windows: Windows, numbers: Ints, device: torch.device) -> tuple[PackedBatch, Ints]:
    """Concatenate the windows `numbers` (longest first) into one batch.

    Return the batch and, for every row, the position of its token in `ids` (-1 for special tokens).
    """
    frame = windows.frame
    lengths = windows.lengths[numbers]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    row_window = np.repeat(numbers, lengths)
    position = np.arange(int(stops[-1])) - np.repeat(starts, lengths)
    a_len, b_len = (
        (stop - start)[row_window]
        for start, stop in ((windows.a_start, windows.a_stop), (windows.b_start, windows.b_stop))
    )
    before, between = len(frame.before), len(frame.between)
    behind_a = position - before - a_len
    behind_b = behind_a - np.where(b_len > 0, between + b_len, 0)
    in_a = (position >= before) & (behind_a < 0)
    in_b = (behind_a >= between) & (behind_b < 0)
    source = np.full(len(position), -1, dtype=np.int64)
    source[in_a] = (windows.a_start[row_window] + position - before)[in_a]
    source[in_b] = (windows.b_start[row_window] + behind_a - between)[in_b]
    place = np.where(behind_a < 0, position, before + np.where(behind_b < 0, behind_a, between + behind_b))
    special = np.array([*frame.before, *frame.between, *frame.after], dtype=np.int64)
    inside = source >= 0
    token = np.empty(len(position), dtype=np.int64)
    token[inside], token[~inside] = ids[source[inside]], special[place[~inside]]
    types = np.where((behind_a >= between) & (b_len > 0), frame.second_type, 0)
    edges = np.flatnonzero(np.diff(lengths)) + 1
    runs = np.split(lengths, edges)

    batch = PackedBatch(
        ids=to_device(token, device),
        types=to_device(types.astype(np.int64), device),
        positions=to_device(position, device),
        groups=tuple((len(run), int(run[0])) for run in runs),
        starts=to_device(starts, device),
        bounds=to_device(np.append(0, stops).astype(np.int32), device),
    )
    return batch, source
