"""Serving: one process that registers every deployment and starts its runs, without a work pool or a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.runner import Runner

from polyseme.flows.display.terminal import note
from polyseme.flows.server.deployments import as_served
from polyseme.flows.server.silent_runs import HEARTBEAT_SECONDS, close_silent_runs
from polyseme.flows.signals.ending import EndedBySignal, arrived, handled_by, heard
from polyseme.storage.wording import many

_PAUSE = 2.0


def serve(deployments: Sequence[dict[str, Any]], *, limit: int, poll_seconds: float) -> None:
    """Serve until stopped, through restarts of the server. Schedules stay on when this process ends."""

    async def run() -> None:
        runner = _Runner(
            name="polyseme", limit=limit, query_seconds=poll_seconds, pause_on_shutdown=False,
            heartbeat_seconds=HEARTBEAT_SECONDS,
        )  # fmt: skip
        added = [await runner.aadd_deployment(as_served(deployment)) for deployment in deployments]
        note(f"Serving {many(len(deployments), 'deployments')}. Ctrl-C stops.")
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(close_silent_runs(added))
            with handled_by(runner.handle_sigterm):
                await runner.start()
            closing.cancel()

    while True:
        _wait_for_server()
        try:
            asyncio.run(run())
        except (Exception, BaseExceptionGroup) as error:
            if number := arrived():
                raise EndedBySignal(number) from error
            if _server_answers() and not any(_is_unreachable(cause) for cause in _causes(error)):
                raise
            note("The Prefect server is gone. Waiting for it; what runs left undone is done by the next reconcile.")
        else:
            if number := arrived():
                raise EndedBySignal(number)
            return


class _Runner(Runner):
    """Stops on every signal that ends a command as Prefect's stops on SIGTERM: it cancels its flow runs first."""

    def handle_sigterm(self, *signalled: Any, **_: Any) -> None:
        """Stop on a signal, given as to any handler."""
        number: int = signalled[0]
        if heard(number):
            if not self.started:
                raise EndedBySignal(number)
            super().handle_sigterm()


def _wait_for_server() -> None:
    while not _server_answers():
        time.sleep(_PAUSE)


def _server_answers() -> bool:
    with get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


def _is_unreachable(error: BaseException) -> bool:
    """True for what the runner raises if the server does not answer: on the first call, or after three polls."""
    return isinstance(error, httpx.TransportError) or "exceeded error threshold" in str(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    elif error is not None:
        yield error
        yield from _causes(error.__cause__ or error.__context__)
