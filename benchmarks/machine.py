"""The machine: what it is, and how fast it multiplies matrices of the model's own shapes."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from tasks.bert import PackedBert
from tasks.crew import Crew, cores
from tasks.encoder import Encoder
from tasks.linear import Dense
from tasks.windows import Windows

ROWS = 1024
"""Rows of the products: the encoder's own batch on CPU."""
_REPEATS = 4


def describe() -> dict[str, str]:
    """Return what the numbers depend on."""
    return {
        "cpu": _cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "load when begun": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {cores()} threads, {torch.backends.cpu.get_cpu_capability()}",
    }


def linear_flops(bert: PackedBert) -> int:
    """Return floating-point operations of the matrix products with weights, per token."""
    return sum(2 * w.size for layer in bert.layers for w in (layer.qkv, layer.out, layer.up, layer.down))


def attention_flops(bert: PackedBert, windows: Windows) -> int:
    """Return floating-point operations of attention's two products over all `windows`."""
    return 4 * len(bert.layers) * bert.hidden * int((windows.lengths**2).sum())


def products(encoder: Encoder) -> tuple[Callable[[], object], int]:
    """Return a run of one layer's products on every core, and how many floating-point operations it is."""
    crew, layer = encoder.crew, encoder.bert.layers[0]
    weights = [m.weight for m in (layer.qkv, layer.out, layer.up, layer.down) if isinstance(m, Dense)]
    inputs = {w.shape[0]: torch.randn(ROWS, w.shape[0], dtype=w.dtype) for w in weights}

    def multiply(_: int) -> None:
        with torch.inference_mode():
            for weight in weights:
                torch.mm(inputs[weight.shape[0]], weight)

    times = _REPEATS * crew.size
    return partial(_exhaust, crew, multiply, times), times * sum(2 * ROWS * w.numel() for w in weights)


def _exhaust(crew: Crew, work: Callable[[int], None], times: int) -> None:
    for _ in crew.map(work, range(times)):
        pass


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = dict(line.partition(":")[::2] for line in lines[:30] if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{named.get('model name', 'unknown')} (family {named.get('cpu family')}, model {named.get('model')})"
