"""For tests of runs: one local cluster at a time on this machine, whatever else tests it."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def one_cluster_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait for the tests of other processes that start clusters: Ray may join one that runs."""
    if request.node.get_closest_marker("cluster") is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / "polyseme-test-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
