"""Wheels carried to a machine without a network: unpacked into a folder for Python's path, without pip.

A wheel is an archive of what belongs in site-packages. Needs Python alone.
"""

from __future__ import annotations

import re
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def unpack(wheels: Path, into: Path) -> list[str]:
    """Unpack every wheel for this Python whose package is not installed; return a line on each wheel."""
    lines = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, _, python, abi, _ = wheel.stem.rsplit("-", 4)
        if installed := _installed(name):
            lines.append(f"{wheel.name}: {installed} is installed")
        elif not _fits(python, abi):
            lines.append(f"{wheel.name}: not for Python {sys.version_info.major}.{sys.version_info.minor}")
        else:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(into)
            lines.append(f"{wheel.name}: unpacked")
    return lines


def _installed(name: str) -> str | None:
    try:
        return version(re.sub(r"[-_.]+", "-", name))
    except PackageNotFoundError:
        return None


def _fits(python: str, abi: str) -> bool:
    """Return whether the tags are those of this Python, of any Python 3, or of the stable ABI."""
    mine = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return abi == "abi3" or not {mine, "py3"}.isdisjoint(python.split("."))
