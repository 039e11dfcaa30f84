"""Polyseme as others get it: a wheel, and an environment that has it without the repository."""

from __future__ import annotations

import os
import shutil
import site
import sys
import sysconfig
from pathlib import Path

from tests import processes
from tests.repository import ROOT

_NOT_SHIPPED = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache", "lake")


def build_wheel(place: Path) -> Path:
    """Build the wheel from a copy of the repository, with the setuptools of this environment, and return it."""
    copy = place / "copy"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=_NOT_SHIPPED)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(place), str(copy))
    (wheel,) = place.glob("*.whl")
    return wheel


def install(wheel: Path, place: Path) -> Path:
    """Make an environment that holds the wheel and sees this one's other packages; return its folder of programs.

    Packages come from a line of a .pth file, so that this environment's own .pth files, an editable Polyseme's among
    them, are not read.
    """
    processes.run(sys.executable, "-m", "venv", "--without-pip", place)
    programs = place / "bin"
    _pip("--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel))
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return programs


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without anything that leads to the repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "POLYSEME_")) and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    return kept | more


def _pip(*words: str) -> None:
    processes.run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words)
