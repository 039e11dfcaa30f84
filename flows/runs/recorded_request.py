"""A request as Prefect records it with its flow run. The flow goes on with the run that was handed to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

_MOST_BYTES = 400_000
"""Of JSON: Prefect refuses 524,288 for all parameters of a flow run."""
_SHOWN = 20


def recorded(request: Any) -> Any:
    """Return a request that Prefect can store: of too many sources the first, and a digest of all.

    The catalog has all of them: the view `runs` shows the sources of a run.
    """
    sources: list[str] = request.sources
    if len(json.dumps(sources)) <= _MOST_BYTES:
        return request
    digest = hashlib.sha256("\0".join(sources).encode()).hexdigest()
    more = f"… and {len(sources) - _SHOWN:,} more; SHA-256 of all, separated by NUL: {digest}"
    return replace(request, sources=[*sources[:_SHOWN], more])
