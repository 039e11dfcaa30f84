"""The CUDA path without a GPU: every operation is dispatched for CUDA, on tensors that have a device but no data.

PyTorch's fake tensors reject what CUDA rejects: two devices in one operation, shapes and dtypes that do not fit, an
operator that CUDA lacks. They do not cover results, streams and memory: `benchmarks/gpu.py` measures those.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from polyseme.storage.records import Layers, Precision
from polyseme.tasks.model import encoder as encoder_module
from polyseme.tasks.model import packing, segment_sums
from polyseme.tasks.model.attention import by_flash, by_groups
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.packing import pack
from polyseme.tasks.model.weights import Weights, load_weights
from polyseme.tasks.text.windows import SentencePairs, pair_windows, paired_context_windows, sentence_windows
from tests.conftest import MakeCheckpoint
from tests.frames import MINI

CUDA = torch.device("cuda", 0)
PTR = np.array([0, 7, 12, 29, 60, 60, 180], dtype=np.int64)
SENTENCES = range(len(PTR) - 1)
IDS = np.random.default_rng(0).integers(5, 140, 180).astype(np.int32)
LIMIT = 64


class WithoutGuards(TorchFunctionMode):
    """Call methods that check for a device before they are dispatched as operators: a build without CUDA has none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return self._get(*args)
        if func is F.scaled_dot_product_attention:
            # It lets the GPU choose a kernel; this one supports any length, and float32.
            return torch.ops.aten._scaled_dot_product_efficient_attention(*args, None, False, **kwargs)[0]
        if func is Tensor.contiguous:
            return torch.ops.aten.contiguous.default(*args)
        if func is Tensor.__setitem__:
            tensor, index, value = args
            return torch.ops.aten.copy_.default(self._get(tensor, index), value)
        if func is Tensor.copy_:
            return torch.ops.aten.copy_.default(*args)
        return func(*args, **(kwargs or {}))

    def _get(self, tensor: Tensor, index: Any) -> Tensor:
        aten, dim = torch.ops.aten, 0
        parts = index if isinstance(index, tuple) else (index,)
        for number, part in enumerate(parts):
            if part is ...:
                dim = tensor.ndim - (len(parts) - number)
            elif isinstance(part, Tensor):
                tensor = aten.index.Tensor(tensor, [*[None] * dim, part])
            elif isinstance(part, slice):
                tensor = aten.slice.Tensor(tensor, dim, part.start, part.stop)
            elif part is None:
                tensor = tensor.unsqueeze(dim)
            else:
                tensor, dim = aten.select.int(tensor, dim, int(part)), dim - 1
            dim += 1
        return tensor


class CallersThread:
    """A batch pool that runs everything in the caller's thread: a mode is active in the thread that entered it only."""

    size = 2

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Generator[Any, None, None]:
        yield from map(work, items)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeTensor]]:
    """Pretend that there is an Ampere GPU. Yields the tensors that were copied back from it."""
    seen: list[FakeTensor] = []
    mode = FakeTensorMode()

    def fake(tensor: Tensor) -> Tensor:
        return mode.from_tensor(tensor)

    def to_device(values: npt.NDArray[Any], device: torch.device) -> Tensor:
        return fake(torch.from_numpy(values)).to(device)

    def load(checkpoint: Checkpoint) -> Weights:
        with unset_fake_temporarily():
            found = load_weights(checkpoint)
        return replace(found, tensors={name: fake(tensor) for name, tensor in found.tensors.items()})

    def to_numpy(tensor: Tensor) -> npt.NDArray[Any]:
        assert isinstance(tensor, FakeTensor)
        assert tensor.device == CUDA
        seen.append(tensor)
        kind = np.float16 if tensor.dtype == torch.bfloat16 else np.float32
        return np.zeros(tuple(tensor.shape), kind)

    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(encoder_module, "load_weights", load)
    for module in (encoder_module, packing, segment_sums):
        monkeypatch.setattr(module, "to_device", to_device)
    monkeypatch.setattr(encoder_module, "to_numpy", to_numpy)
    monkeypatch.setattr(encoder_module, "on_own_stream", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: torch.Stream(device="cpu"))
    with mode, WithoutGuards(), torch.inference_mode():
        yield seen


MakeEncoder = Callable[..., Encoder]


@pytest.fixture
def make_encoder(make_checkpoint: MakeCheckpoint, request: pytest.FixtureRequest) -> MakeEncoder:
    """An encoder with heads of 16 dimensions, which flash attention supports, or of 12."""
    folders = {heads: make_checkpoint(num_attention_heads=heads) for heads in (3, 4)}
    request.getfixturevalue("copied")

    def make(precision: Precision = "bf16", *, heads: int = 3, layers: Layers = "last") -> Encoder:
        encoder = Encoder(
            Checkpoint("random", folders[heads]), device=CUDA, precision=precision,
            layers=layers, budget=100,
        )  # fmt: skip
        encoder.pool = CallersThread()  # type: ignore[assignment]
        return encoder

    return make


def test_flash_attention_is_used_if_heads_and_dtype_allow_it(make_encoder: MakeEncoder) -> None:
    assert make_encoder("bf16", heads=3).network._attention is by_flash
    assert make_encoder("bf16", heads=4).network._attention is by_groups
    assert make_encoder("fp32", heads=3).network._attention is by_groups


@pytest.mark.parametrize("layers", ["last", "last4", "2", "mean:0-1"])
@pytest.mark.parametrize(("precision", "heads"), [("bf16", 3), ("bf16", 4), ("fp32", 3)])
def test_sentences_and_pairs_are_encoded(
    make_encoder: MakeEncoder, copied: list[FakeTensor], precision: Precision, heads: int, layers: Layers
) -> None:
    encoder = make_encoder(precision, heads=heads, layers=layers)
    encoded = encoder.encode(IDS, sentence_windows(PTR, SENTENCES, LIMIT, MINI), sentences=len(SENTENCES))
    assert encoded.tokens.shape == (len(IDS), 48)
    assert {tensor.dtype for tensor in copied} == {encoder.network.dtype}

    copied.clear()
    windows = sentence_windows(PTR, SENTENCES, LIMIT, MINI)
    vectors, _ = encoder.encode_sentences(IDS, windows, sentence_ptr=PTR, pooling="mean")
    assert vectors.shape == (len(SENTENCES), 48)
    assert sum(len(tensor) for tensor in copied) < len(IDS) / 2
    assert {tensor.dtype for tensor in copied} == {torch.float32}

    copied.clear()
    near = SentencePairs(np.arange(5), np.arange(1, 6))
    paired, left_out = paired_context_windows(PTR, near, len(SENTENCES), LIMIT, MINI)
    encoded = encoder.encode(IDS, paired, sentences=len(SENTENCES), pairs=len(left_out))
    assert np.isfinite(encoded.logits[:, :2]).all()
    windows, _ = pair_windows(PTR, near, LIMIT, MINI)
    assert encoder.score_pairs(IDS, windows).shape == (5, 3)
    assert {tensor.dtype for tensor in copied} == {encoder.network.dtype, torch.float32}


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_masked_tokens_are_scored(make_encoder: MakeEncoder, precision: Precision) -> None:
    encoder = make_encoder(precision)
    windows = sentence_windows(PTR, [0, 1, 2], LIMIT, MINI)
    at, targets = np.array([3, 0, 16]), np.array([7, 8, 9], dtype=np.int32)
    assert encoder.surprisals(IDS, windows, at=at, targets=targets).shape == (3,)
    assert encoder.token_logits(IDS, windows, wanted=np.array([2, 9])).shape == (2, 30522)


def test_a_tensor_left_on_the_cpu_is_an_error(make_encoder: MakeEncoder) -> None:
    """The premise of the tests above: an error of CUDA is raised here too."""
    bert = make_encoder().network
    packed, _ = pack(IDS, sentence_windows(PTR, [0, 1], LIMIT, MINI), np.array([1, 0]), CUDA)
    stray = replace(packed, positions=torch.zeros(len(packed.ids), dtype=torch.int64))
    # torch 2.11 and later do not use the same words for it.
    with pytest.raises(RuntimeError, match=r"same device|two different devices cuda:0, cpu"):
        bert.hidden_states(stray)
