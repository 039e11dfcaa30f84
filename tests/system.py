"""What the system that tests run on has."""

from __future__ import annotations

import ctypes
import sys


def landlock() -> bool:
    """Return whether the kernel has Landlock, which confines a thread."""
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) > 0
