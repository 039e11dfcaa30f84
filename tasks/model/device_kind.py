"""The kind of device and the precision that settings mean on this machine, without PyTorch where its files show it.

PyTorch takes two seconds to import, and a run that finds nothing to encode needs it for this alone. A build for CPUs
says so in its `version.py`, and no build finds a GPU without the driver's library. Everything else is PyTorch's answer.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from polyseme.storage.records import Device, Precision

_FOR_A_GPU = re.compile(r"^(?:cuda|hip)\b[^=]*=\s*['\"]", re.MULTILINE)
_FOR_AMD = re.compile(r"^hip\b[^=]*=\s*['\"]", re.MULTILINE)
_DRIVER = "libcuda.so.1"
_X86 = ("x86_64", "AMD64")


def device_and_precision(device: Device, precision: Precision | Literal["auto"]) -> tuple[str, Precision]:
    """Return `cpu`, `cuda` or `mps` and the precision, with `auto` resolved. Raises ModelError as `resolve_device`.

    An int8 that an unusual build for x86 lacks is found by `resolve_device`, once the model is loaded.
    """
    on_cpu = "torch" not in sys.modules and (device == "cpu" or (device == "auto" and has_no_gpu()))
    if on_cpu and not (precision == "int8" and platform.machine() not in _X86):
        return "cpu", "fp32" if precision == "auto" else precision
    from polyseme.tasks.model.devices import resolve_device

    found, chosen = resolve_device(device, precision)
    return found.type, chosen


@cache
def has_no_gpu() -> bool:
    """Return whether files alone show that PyTorch finds no GPU here. False if only PyTorch itself could tell."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None or sys.platform != "linux":
        return False
    try:
        built = Path(spec.origin).with_name("version.py").read_text("utf-8")
    except OSError:
        return False
    if "cuda" not in built:
        return False
    if not _FOR_A_GPU.search(built):
        return True
    return not _FOR_AMD.search(built) and not _driver_is_there()


def _driver_is_there() -> bool:
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True
