"""Serving: one process that registers every deployment and starts their runs, without a work pool or a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from prefect.runner import Runner

from flows.corpora import Corpus
from flows.deployments import as_served, deployments_file, read_deployments

logger = logging.getLogger(__name__)


def serve_deployments(corpora: Sequence[Corpus], *, limit: int, poll_seconds: float) -> None:
    """Serve until stopped. Schedules go on when it stops, so that nothing waits for a start by hand."""
    deployments = [as_served(d) for d in read_deployments(deployments_file())]

    async def run() -> None:
        runner = Runner(name="polyseme", limit=limit, query_seconds=poll_seconds, pause_on_shutdown=False)
        for deployment in deployments:
            await runner.aadd_deployment(deployment)
        await runner.start()

    asyncio.run(run())
