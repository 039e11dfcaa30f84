"""Flow runs of killed processes: noticed by their silence, and closed.

The server hears of a living run: its state changes, and while it runs Prefect sends heartbeats. So it does not matter
which machine runs it, and no clock is believed but that of the process that looks. A run of a work pool, as those of a
deployment that once had one, may be a worker's, which sends fewer heartbeats and may need longer to begin.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from polyseme.flows.display.terminal import note

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

HEARTBEAT_SECONDS = 30
"""Between two heartbeats of a run; the least that Prefect allows."""
SILENCE_SECONDS = 5.0 * HEARTBEAT_SECONDS
"""After this long without a sign of life a run is taken for dead. If it lives all the same, its next state replaces
Crashed: the server lets it go on."""
SILENCE_SECONDS_OF_A_WORKER = 5.0 * 180
"""The same for runs of a work pool: Prefect's heartbeats are every 180 s unless something else is set."""
_LOOK_SECONDS = 10.0


class Silence:
    """Since when each flow run has shown the same sign of life, for whoever has looked without a gap."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._since: dict[UUID, tuple[Hashable, float]] = {}

    def silent(self, signs: Mapping[UUID, Hashable], *, at: float) -> list[UUID]:
        """Return the runs whose sign has been the same for long enough, at a time of the monotonic clock."""
        before = self._since
        self._since = {
            run: before[run] if run in before and before[run][0] == sign else (sign, at) for run, sign in signs.items()
        }
        return [run for run, (_, since) in self._since.items() if at - since >= self.seconds]

    def forget(self) -> None:
        """Begin again: while the server did not answer, it heard nobody."""
        self._since.clear()


async def close_silent_runs(
    deployments: Collection[UUID], *, seconds: float = SILENCE_SECONDS,
    of_workers: float = SILENCE_SECONDS_OF_A_WORKER, look: float = _LOOK_SECONDS,
) -> None:  # fmt: skip
    """Set flow runs of these deployments that are Pending or Running in silence to Crashed. Never returns.

    Runs of a work pool have `of_workers` seconds.
    """
    patience = {False: Silence(seconds), True: Silence(of_workers)}
    async with get_client() as client:
        while True:
            try:
                found = await _unfinished(client, deployments)
                for pooled, silence in patience.items():
                    mine = [run for run in found if (run.work_pool_name is not None) is pooled]
                    signs = {run.id: await _sign_of_life(client, run) for run in mine}
                    for run in silence.silent(signs, at=time.monotonic()):
                        if not _runs_here(run):
                            await _close(client, run, silence.seconds)
            except httpx.HTTPError:
                for silence in patience.values():
                    silence.forget()
            await asyncio.sleep(look)


async def _unfinished(client: PrefectClient, deployments: Collection[UUID]) -> list[FlowRun]:
    states = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=list(deployments)), state=FlowRunFilterState(type=states)
        )
    )


async def _sign_of_life(client: PrefectClient, run: FlowRun) -> Hashable:
    """Return the run's state and its last heartbeat."""
    wanted = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run.id}"]},
        "order": "DESC",
    }
    answer = await client.request("POST", "/events/filter", json={"filter": wanted, "limit": 1})
    answer.raise_for_status()
    return run.state_id, *(event["id"] for event in answer.json()["events"])


async def _close(client: PrefectClient, run: UUID, seconds: float) -> None:
    message = (
        f"No sign of life for {seconds:g} s: its process was killed, or the serve that was to start it. What it "
        "committed is kept; the next reconcile does the rest."
    )
    # Without force: if the run has ended meanwhile, its own state stays.
    await client.set_flow_run_state(run, Crashed(message=message))
    note(f"Closed flow run {run}: {message}")


def _runs_here(run: UUID) -> bool:
    """Return whether a process of this machine runs it (Linux), though the server may not hear of it."""
    mark = f"PREFECT__FLOW_RUN_ID={run}".encode()
    for process in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in process.read_bytes().split(b"\0"):
                return True
    return False
