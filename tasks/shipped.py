"""The files that ship with Polyseme beside its code: the embedded model, the example corpus, `prefect.yaml`."""

from __future__ import annotations

import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder: in the repository, or in the data files that a wheel installs."""
    path = _REPOSITORY / name
    return path if path.exists() else Path(sys.prefix) / "share" / "polyseme" / name
