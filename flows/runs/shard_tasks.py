"""The two Prefect tasks of one shard: encode it anywhere, commit it where the flow runs.

Only references travel through them. Here is also the log line that a shard leaves.
"""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from polyseme.flows.runs.device_lock import device_lock
from polyseme.flows.runs.progress import reporter
from polyseme.flows.runs.retries import TASK_OPTIONS
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Shard, ShardResult
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import stages


@task(name="encode shard", task_run_name="encode {shard.ordinal}", **TASK_OPTIONS)
def encode_shard(shard: Shard, lake: Lake, config: EngineConfig) -> ShardResult:
    """Encode one staged shard into parts that are not visible yet."""
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


@task(name="commit shard", task_run_name="commit {result.shard.ordinal}", **TASK_OPTIONS)
def commit_shard(result: ShardResult, lake: Lake) -> Counts:
    """Make one encoded shard visible."""
    with Catalog.open(lake) as catalog:
        return stages.commit_shard(result, catalog)
