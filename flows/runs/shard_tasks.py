"""The two Prefect tasks of one shard: encode it anywhere, commit it where the flow runs.

Only references travel through them. Here stands what is tried again, and the log line that a shard leaves.
"""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.tasks import exponential_backoff

from polyseme.flows.runs.device_lock import device_lock
from polyseme.flows.runs.progress import reporter
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Shard, ShardResult
from polyseme.tasks.engine import EngineConfig, shared_engine
from polyseme.tasks.shards import stages


def _worth_a_retry(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what may pass (a full disk, a lock, a device out of memory), not what will fail the same way again."""
    error = state.result(raise_on_failure=False)
    return any(isinstance(e, OSError | LakeError | MemoryError | RuntimeError) for e in (error, error.__cause__))


_AT_THE_EDGE: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _worth_a_retry,
    "persist_result": False,
    "cache_policy": NO_CACHE,
}


@task(name="encode shard", task_run_name="encode {shard.ordinal}", **_AT_THE_EDGE)
def encode_shard(shard: Shard, lake: Lake, config: EngineConfig) -> ShardResult:
    """Encode one staged shard into parts that nobody sees yet."""
    engine = shared_engine(config)
    with Catalog.open(lake) as catalog:
        result = stages.encode_shard(
            shard, lake, catalog, engine, on_batch=reporter(shard, lake), device_lock=device_lock(engine)
        )
    counts = result.counts
    get_run_logger().info(
        "run %s shard %d: %d documents, %d sentences, %d tokens (%d forward), %d bytes; seconds %s",
        shard.run_id, shard.ordinal, counts.documents, counts.sentences, counts.tokens, counts.forward_tokens,
        counts.bytes, {stage: round(value, 2) for stage, value in counts.seconds.items()},
    )  # fmt: skip
    return result


@task(name="commit shard", task_run_name="commit {result.shard.ordinal}", **_AT_THE_EDGE)
def commit_shard(result: ShardResult, lake: Lake) -> Counts:
    """Make one encoded shard visible."""
    with Catalog.open(lake) as catalog:
        return stages.commit_shard(result, catalog)
