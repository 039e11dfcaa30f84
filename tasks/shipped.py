"""What ships with Polyseme beside its code: the embedded model, the example corpus, `prefect.yaml`."""

from __future__ import annotations

import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder: in the repository, or where a wheel installs data files."""
    here = _REPOSITORY / name
    return here if here.exists() else Path(sys.prefix) / "share" / "polyseme" / name
