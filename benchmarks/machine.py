"""The machine: a description, and how fast it copies, writes to disk and multiplies matrices of the model's shapes."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from polyseme.tasks.model.batch_pool import BatchPool, cores
from polyseme.tasks.model.bert import PackedBert
from polyseme.tasks.model.devices import processor
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.linear import Dense, Packed
from polyseme.tasks.model.packed import Network
from polyseme.tasks.text.windows import Windows

ROWS = 1024
"""Rows of the matrix products: the encoder's batch size on CPU."""
_REPEATS = 4
_TRANSFER = 128 * 2**20
"""Bytes copied or written to measure bandwidth: more than any cache."""


def describe() -> dict[str, str | float]:
    """Return the properties of the machine that results depend on."""
    return {
        "cpu": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "load when begun": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {cores()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "memory, GB/s read and written by one core's copy": memory_bandwidth() / 1e9,
        "disk, GB/s written to the temporary folder and synced": disk_bandwidth(tempfile.gettempdir()) / 1e9,
    }


def memory_bandwidth() -> float:
    """Return the bytes per second that one core reads and writes in a copy, the best of five."""
    source = np.ones(_TRANSFER, np.uint8)
    target = np.empty_like(source)
    return 2 * _TRANSFER / min(_seconds(partial(np.copyto, target, source)) for _ in range(5))


def disk_bandwidth(folder: str) -> float:
    """Return the bytes per second written to the disk of `folder` and synced, the best of three."""
    content = np.random.default_rng(0).bytes(_TRANSFER)

    def write() -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    return _TRANSFER / min(_seconds(write) for _ in range(3))


def model_flops(network: Network, windows: Windows) -> int:
    """Return the floating-point operations of all matrix products over `windows`, without padding and heads."""
    return int(windows.lengths.sum()) * linear_flops(network) + attention_flops(network, windows)


def linear_flops(network: Network) -> int:
    """Return the floating-point operations of the products with weights, per token, up to the layer of the vectors."""
    assert isinstance(network, PackedBert)
    layers = network.layers[: network.span.last]
    return sum(2 * w.size for layer in layers for w in (layer.qkv, layer.out, layer.up, layer.down))


def attention_flops(network: Network, windows: Windows) -> int:
    """Return the floating-point operations of attention's two products over all `windows`."""
    return 4 * network.span.last * network.hidden * int((windows.lengths**2).sum())


def products(encoder: Encoder) -> tuple[Callable[[], object], int]:
    """Return a function that runs one layer's products on every core, and its floating-point operations."""
    assert isinstance(encoder.network, PackedBert)
    pool, layer = encoder.pool, encoder.network.layers[0]
    linears = [m for m in (layer.qkv, layer.out, layer.up, layer.down) if isinstance(m, Dense | Packed)]
    inputs = [torch.randn(ROWS, m.size // len(m.bias), dtype=m.bias.dtype) for m in linears]

    def multiply(_: int) -> None:
        with torch.inference_mode():
            for linear, x in zip(linears, inputs, strict=True):
                linear(x)

    times = _REPEATS * pool.size
    return partial(_exhaust, pool, multiply, times), times * sum(2 * ROWS * m.size for m in linears)


def _exhaust(pool: BatchPool, work: Callable[[int], None], times: int) -> None:
    for _ in pool.map(work, range(times)):
        pass


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
