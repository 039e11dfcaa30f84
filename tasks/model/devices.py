"""Devices: which one the model runs on, in which precision, with how many tokens per batch, and copies to and from it.

Knows PyTorch, not models or text. A batch that does not fit the device's memory is handled in `memory`.
"""

from __future__ import annotations

import os
import platform
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Device, Precision
from polyseme.tasks.model.linear import runs_int8

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.float32}
"""The dtype of activations; int8 applies to the linear maps only."""

TOKEN_BUDGET = {"cpu": 1024, "cuda": 65_536, "mps": 8_192}
"""Tokens per batch. On CPU more is slower: the working set leaves the cache (measured, docs/performance.md)."""

BATCHES_AT_ONCE = {"cuda": 2, "mps": 1}
"""While one batch is computed, the next is packed and the previous one copied back. On CPU it is one per core."""

_MEMORY_SHARE = 0.8
_thread = threading.local()


def resolve_device(device: Device, precision: Precision | Literal["auto"]) -> tuple[torch.device, Precision]:
    """Return the device and the precision, with `auto` resolved. Raises ModelError if they cannot run here."""
    kind = _best() if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "No CUDA device is visible to PyTorch here. Use --device cpu, or install a CUDA build of torch."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("PyTorch has no Metal device (mps) here. Use --device cpu.")
    chosen: Precision = _default_precision(kind) if precision == "auto" else precision
    found = torch.device(kind)
    if chosen == "int8" and not runs_int8(found):
        raise ModelError(
            f"Precision int8 runs on x86 CPUs, not on {kind}. Use --device cpu --precision int8 on such a machine, "
            f"or --precision {'bf16' if kind == 'cuda' else 'fp32'} here."
        )
    return found, chosen


def hardware(device: torch.device) -> str:
    """Return the product name of `device`: of the GPU, or of the processor with the number of usable cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}, {cores} cores"


def device_kind(device: torch.device) -> str:
    """Return what rounds vectors the same: the GPU's name or the processor's model, and the version of PyTorch.

    The libraries of matrix products choose their kernels, and with them the order of sums, by these. At most 64 of
    `a-z`, digits, `.`, `_` and `-`.
    """
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device).removeprefix("NVIDIA ")
    elif device.type == "cpu":
        fields = _cpu_fields()
        numbers = (fields.get(name, "") for name in ("cpu family", "model", "stepping"))
        name = "-".join([fields.get("vendor_id", platform.machine()), *filter(None, numbers)])
        where = f"{torch.backends.cpu.get_cpu_capability()}-{name}"
    else:
        where = platform.processor() or platform.machine()
    kind = f"{device.type}-torch{torch.__version__.partition('+')[0]}-{where}".lower()
    return re.sub(r"[^a-z0-9_.-]+", "-", kind)[:64]


def processor() -> str:
    """Return the processor's name; on Linux with family and model, because "AMD EPYC" and the like name many."""
    fields = _cpu_fields()
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


@cache
def _cpu_fields() -> Mapping[str, str]:
    """Return what Linux says of its first processor, nothing elsewhere.

    Read once: the kind of device is asked for with every document, and Linux writes a page for every core.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n", 1)[0].splitlines()
    except OSError:
        lines = []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _best() -> Literal["cuda", "mps", "cpu"]:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _default_precision(kind: str) -> Precision:
    """Return bf16 if the GPU multiplies it; GPUs before Ampere only emulate it, more slowly than fp32."""
    return "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"


def token_budget(device: torch.device, *, hidden: int, intermediate: int) -> int:
    """Return the first batch size in tokens: the device's default, or what its free memory holds if that is less.

    At its peak a layer holds its input, query, key, value and attention's output, or the intermediate rows twice, in
    two or four bytes each; `BATCHES_AT_ONCE` layers run in parallel.
    """
    default = TOKEN_BUDGET[device.type]
    if device.type != "cuda":
        return default
    free, _ = torch.cuda.mem_get_info(device)
    bytes_per_token = 4 * (3 * hidden + max(4 * hidden, 2 * intermediate))
    return max(512, min(default, int(_MEMORY_SHARE * free) // (BATCHES_AT_ONCE["cuda"] * bytes_per_token)))


@contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """On CUDA, run the block in the thread's own stream and wait for it at the end. No effect on other devices."""
    if device.type != "cuda":
        yield
        return
    if not hasattr(_thread, "stream"):
        _thread.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        _thread.stream.wait_stream(torch.cuda.default_stream(device))  # the weights were loaded in it
    with torch.cuda.stream(_thread.stream):
        yield
        _thread.stream.synchronize()


def to_device(values: npt.NDArray[np.number[Any]], device: torch.device) -> torch.Tensor:
    """Copy an array to the device; to CUDA through pinned memory, so that the copy is asynchronous."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Copy a tensor to the host as float32, or as float16 if it was bfloat16 on CUDA.

    The lake stores float16, which holds all eight significant bits of a bfloat16 in the range of vectors, and half as
    many bytes are copied.
    """
    if tensor.device.type != "cuda":
        return tensor.float().cpu().numpy()
    small = tensor.half() if tensor.dtype == torch.bfloat16 else tensor
    pinned = torch.empty(small.shape, dtype=small.dtype, pin_memory=True)
    pinned.copy_(small, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return pinned.numpy()
