"""Packages that only some of Polyseme's extras install: a test that needs one skips without it and names the extra."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def require(package: str, extra: str) -> None:
    """Skip the calling test unless `package` is installed. It is not imported.

    Importing has effects on what runs later in the process: transformers takes any process that has imported marimo
    for a notebook, and its Trainer, which sentence-transformers imports, then needs IPython.
    """
    if not _is_installed(package):
        pytest.skip(f"needs {package}: pip install 'polyseme[{extra}]', or make test-all", allow_module_level=True)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
