"""The one retry policy of tasks: what may pass is tried again, twice, after growing pauses."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from polyseme.storage.errors import LakeError


def may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """True for a full disk, a lock, a device out of memory; False for what will fail in the same way again."""
    error = state.result(raise_on_failure=False)
    return any(isinstance(e, OSError | LakeError | MemoryError | RuntimeError) for e in (error, error.__cause__))


TASK_OPTIONS: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
    "persist_result": False,
    "cache_policy": NO_CACHE,
}
"""For `@task(name=…, **TASK_OPTIONS)`. Nothing is cached: the catalog and checkpoints decide what is done."""
