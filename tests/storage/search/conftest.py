"""The cache folder in which a test makes indexes, and which parts are read for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.search import index as module


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of indexes, a new one for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "codes"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the parts whose vectors are read."""
    read: list[str] = []
    of_part = module.piece_of_part
    monkeypatch.setattr(module, "piece_of_part", lambda path, *how: (read.append(path), of_part(path, *how))[1])
    return read
