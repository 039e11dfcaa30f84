"""Devices: where the model runs, in which precision, how many tokens fit, and what to do when they do not.

Speaks PyTorch alone. On CPU memory is no question; on an accelerator a batch that does not fit is cut in halves.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Device, Precision
from polyseme.tasks.model.linear import runs_int8

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}
"""What rows between the products are in."""

TOKEN_BUDGET = {"cpu": 1024, "cuda": 65_536, "mps": 8_192}
"""Tokens a batch. On CPU more is slower: the working set leaves the cache (measured, docs/performance.md)."""

BATCHES_AT_ONCE = {"cuda": 2, "mps": 1}
"""While one batch computes the next is laid out and the last one copied back. On CPU it is one a core."""

_MEMORY_SHARE = 0.8
_thread = threading.local()


def resolve_device(device: Device, precision: Precision | Literal["auto"]) -> tuple[torch.device, Precision]:
    """Return the device and precision that `auto` means here. Raises ModelError for what cannot run."""
    kind = _best() if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "No CUDA device is visible to PyTorch here. Use --device cpu, or install a CUDA build of torch."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("PyTorch has no Metal device (mps) here. Use --device cpu.")
    chosen: Precision = _usual_precision(kind) if precision == "auto" else precision
    found = torch.device(kind)
    if chosen == "int8" and not runs_int8(found):
        raise ModelError(
            f"Precision int8 runs on x86 CPUs, not on {kind}. Use --device cpu --precision int8 on such a machine, "
            f"or --precision {'bf16' if kind == 'cuda' else 'fp32'} here."
        )
    return found, chosen


def hardware(device: torch.device) -> str:
    """Return what people call `device`: a card's name, or the processor's with the cores this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}, {cores} cores"


def processor() -> str:
    """Return the processor's name; on Linux with family and model, since names like "AMD EPYC" stand for many."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n", 1)[0].splitlines()
    except OSError:
        lines = []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in said:
        return platform.processor() or platform.machine()
    return f"{said['model name']} (family {said.get('cpu family')}, model {said.get('model')})"


def _best() -> Literal["cuda", "mps", "cpu"]:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _usual_precision(kind: str) -> Precision:
    """bf16 where the GPU multiplies it; those before Ampere only imitate it, more slowly than fp32."""
    return "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def token_budget(device: torch.device, *, hidden: int, intermediate: int) -> int:
    """Return how many tokens to begin with: the device's usual number, or what its free memory holds if that is less.

    A layer's widest moment holds its input, query, key, value and attention's output or the inner rows twice, in two
    or four bytes a number; `BATCHES_AT_ONCE` of them run together.
    """
    usual = TOKEN_BUDGET[device.type]
    if device.type != "cuda":
        return usual
    free, _ = torch.cuda.mem_get_info(device)
    a_token = 4 * (3 * hidden + max(4 * hidden, 2 * intermediate))
    return max(512, min(usual, int(_MEMORY_SHARE * free) // (BATCHES_AT_ONCE["cuda"] * a_token)))


@contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """Do a thread's work on CUDA in a stream of its own, finished when the block ends. Elsewhere nothing changes."""
    if device.type != "cuda":
        yield
        return
    if not hasattr(_thread, "stream"):
        _thread.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        _thread.stream.wait_stream(torch.cuda.default_stream(device))  # where the weights were loaded
    with torch.cuda.stream(_thread.stream):
        yield
        _thread.stream.synchronize()


def to_device(values: npt.NDArray[np.integer[Any]], device: torch.device) -> torch.Tensor:
    """Copy an array to the device; to CUDA through pinned memory, so that nobody waits for it."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Copy a tensor to this machine's memory, as float32, or as float16 where it was bfloat16 on an accelerator.

    The lake stores float16, which holds all eight bits of a bfloat16 of a vector's size, and the copy is half as long.
    """
    if tensor.device.type != "cuda":
        return tensor.float().cpu().numpy()
    small = tensor.half() if tensor.dtype == torch.bfloat16 else tensor
    pinned = torch.empty(small.shape, dtype=small.dtype, pin_memory=True)
    pinned.copy_(small, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned.numpy()
