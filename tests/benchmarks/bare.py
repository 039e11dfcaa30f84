"""Processes as on a bare GPU machine, and wheels made of what is installed here, to be carried there."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

from tests.repository import ROOT

CARRIED = ("orjson", "sqlalchemy")


def environment() -> dict[str, str]:
    """Return the environment of a process that finds no other packages than a bare machine has."""
    hidden = Path(__file__).with_name("bare_machine")
    return {**os.environ, "PYTHONPATH": f"{hidden}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}


def make_wheels(folder: Path, packages: Sequence[str] = CARRIED) -> Path:
    """Write the wheels of `packages`, from their installed files."""
    folder.mkdir()
    mine = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for name in packages:
        found = distribution(name)
        with zipfile.ZipFile(folder / f"{name}-{found.version}-{mine}-{mine}-any.whl", "w") as wheel:
            for file in found.files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    wheel.write(str(found.locate_file(file)), str(file))
    return folder
