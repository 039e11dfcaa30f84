"""The GPU's path without a GPU: every operation is dispatched for CUDA, on tensors that have a device and no numbers.

PyTorch's fake tensors refuse what a GPU would refuse: two devices in one operation, shapes and types that do not fit,
an operator that CUDA lacks. Numbers, streams and memory they know nothing of: `benchmarks/gpu.py` measures those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from storage.records import Precision
from tasks import encoder as encoder_module
from tasks import pretraining
from tasks.attention import by_flash, by_groups
from tasks.bert import PackedBert
from tasks.checkpoint import load_weights
from tasks.encoder import Encoder, Specials
from tasks.engine import Engine
from tasks.pretraining import drift_sum, loss_sums, say
from tasks.windows import Pairs, pair_windows, paired_context_windows, sentence_windows
from tests.tasks.training_corpus import a_batch, a_model

CUDA = torch.device("cuda")
PTR = np.array([0, 7, 12, 29, 60], dtype=np.int64)
IDS = np.random.default_rng(0).integers(5, 140, 60).astype(np.int32)


class InTurn:
    """A crew of one thread, the caller's: fake tensors belong to the thread that made them."""

    size = 2

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        yield from map(work, items)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeTensor]]:
    """Inside, CUDA can be had. What is copied back is collected, as it was on the device."""
    seen: list[FakeTensor] = []
    with FakeTensorMode() as mode:

        def to_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
            return mode.from_tensor(torch.from_numpy(values)).to(device)

        def to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
            assert isinstance(tensor, FakeTensor)
            seen.append(tensor)
            small = tensor.half() if tensor.dtype == torch.bfloat16 else tensor
            return np.zeros(tuple(small.shape), dtype=str(small.dtype).removeprefix("torch."))

        monkeypatch.setattr(encoder_module, "to_device", to_device)
        monkeypatch.setattr(encoder_module, "to_numpy", to_numpy)
        monkeypatch.setattr(encoder_module, "on_own_stream", lambda device: nullcontext())
        monkeypatch.setattr(pretraining, "to", lambda device, array: to_device(array, device))
        monkeypatch.setattr("tasks.attention.attention_for", None)
        yield seen
