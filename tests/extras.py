"""Packages that only some of Polyseme's extras install: a test that needs one skips without it and names the extra."""

from __future__ import annotations

import pytest


def require(package: str, extra: str) -> None:
    """Skip the calling test unless `package` can be imported."""
    pytest.importorskip(package, reason=f"needs {package}: pip install 'polyseme[{extra}]', or make test-all")
