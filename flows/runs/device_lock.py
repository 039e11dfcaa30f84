"""The lock of a device between processes: one run at a time uses it, and a process that dies loses it.

A Prefect global concurrency limit of one slot, held under a lease that this process renews. A second limit is the head
of the queue: a process that gives the device up queues behind those that wait for it, so that they alternate and none
starves. Within a process the engine's own lane does the same. Without a standing server there is nothing to lock.
"""

from __future__ import annotations

import atexit
import logging
import socket
import threading
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL

from polyseme.flows.runs import temporary_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from polyseme.tasks.engine import Engine

LEASE_SECONDS = 60.0
"""How long a dead holder keeps the device, plus the interval at which the server looks; the least Prefect grants."""
HOLD_SECONDS = 10.0
"""After this long, and the chunk in hand, the device goes to the next process in the queue."""
RENEW_SECONDS = LEASE_SECONDS / 3
IDLE_SECONDS = 1.0
"""A holder without work for this long gives the device up."""
_POLL_SECONDS = 0.5
_UNREACHABLE_SECONDS = 30.0
_STUCK_SECONDS = 600.0

log = logging.getLogger(__name__)


def lock_name(engine: Engine) -> str:
    """Return the limit's name: a GPU by its own id, the same in every container; a host's cores by the host."""
    if engine.device_type == "cuda":
        import torch

        return f"polyseme-device-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
    return f"polyseme-device-{socket.gethostname()}-cpu"


def device_lock(engine: Engine) -> DeviceLock | None:
    """Return this process's lock on the engine's device; None without a standing server.

    A GPU's limit is created if it is missing. The cores of a host are shared well by its operating system: they are
    locked only if somebody created the limit, with as many slots as processes may encode there at once.
    """
    url = None if temporary_server.is_running() else PREFECT_API_URL.value()
    return _opened(url, lock_name(engine), engine.device_type == "cuda") if url else None


@cache
def _opened(url: str, name: str, create: bool) -> DeviceLock | None:
    # A client of its own: it outlives the task that comes first.
    client = get_client(httpx_settings={"timeout": 15.0}, sync_client=True)
    lock = DeviceLock(client, name)
    try:
        found = lock.open(create=create)
    except httpx.HTTPError as error:
        log.warning("No lock on %s: the Prefect server at %s did not answer (%s)", name, url, error)
        return None
    if found:
        atexit.register(lock.close)
    return lock if found else None


class DeviceLock:
    """Enter it, in one thread at a time, for each chunk of work on the device; it keeps the device between chunks.

    A failing server never fails the work: after half a minute it goes on without the slot and logs a warning.
    """

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self.name = name
        self._client = client
        self._next = f"{name}-next"
        self._lock = threading.Lock()
        self._lease: UUID | None = None
        self._busy = False
        self._begun = self._renewed = self._used = 0.0

    def open(self, *, create: bool) -> bool:
        """Create the limits that are missing, the device's own only with `create`. Return whether that one exists."""
        if create:
            self._make(self.name)
        try:
            self._client.read_global_concurrency_limit_by_name(self.name)
        except ObjectNotFound:
            return False
        self._make(self._next)
        return True

    def close(self) -> None:
        """Give the device up now, as at the end of the process."""
        with self._lock:
            self._give_up()

    def __enter__(self) -> DeviceLock:
        with self._lock:
            self._busy = True
        if self._lease is None:
            self._take()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._busy, self._used = False, time.monotonic()
            if self._used - self._begun >= HOLD_SECONDS:
                self._give_up()

    def _take(self) -> None:
        head = self._acquire(self._next)
        try:
            lease = self._acquire(self.name)
        finally:
            self._release(head)
        with self._lock:
            self._lease, self._begun = lease, time.monotonic()
            self._renewed = self._begun
        if lease is not None:
            threading.Thread(target=self._keep, args=(lease,), name="polyseme-lease", daemon=True).start()

    def _give_up(self) -> None:
        lease, self._lease = self._lease, None
        self._release(lease)

    def _keep(self, lease: UUID) -> None:
        """Renew the lease while the device is in use, and give the device up once it is idle."""
        while True:
            time.sleep(_POLL_SECONDS)
            with self._lock:
                if self._lease != lease:
                    return
                now = time.monotonic()
                if not self._busy and now - self._used >= IDLE_SECONDS:
                    self._give_up()
                    return
            if now - self._renewed >= RENEW_SECONDS:
                self._renew(lease, now)

    def _renew(self, lease: UUID, now: float) -> None:
        try:
            self._client.renew_concurrency_lease(lease, LEASE_SECONDS)
            self._renewed = now
        except httpx.HTTPError as error:
            if now - self._renewed > LEASE_SECONDS:
                log.warning("The lease on %s was lost (%s); another run may use the device meanwhile", self.name, error)
                self._renewed = now

    def _acquire(self, name: str) -> UUID | None:
        """Wait for a slot and return its lease; None if the limit does not exist (any more) or the server fails."""
        begun = answered = time.monotonic()
        while True:
            try:
                response = self._client.increment_concurrency_slots_with_lease(
                    names=[name], slots=1, mode="concurrency", lease_duration=LEASE_SECONDS
                ).json()
                return UUID(response["lease_id"]) if response["limits"] else None
            except httpx.HTTPError as error:
                if _is_taken(error):
                    answered = time.monotonic()
                    if answered - begun > _STUCK_SECONDS:
                        begun = answered
                        self._reset(name)
                elif time.monotonic() - answered > _UNREACHABLE_SECONDS:
                    log.warning("Going on without the slot of %s: the Prefect server fails (%s)", name, error)
                    return None
            time.sleep(_POLL_SECONDS)

    def _release(self, lease: UUID | None) -> None:
        if lease is None:
            return
        try:
            self._client.release_concurrency_slots_with_lease(lease)
        except httpx.HTTPError as error:
            log.warning("Could not give %s back (%s); its lease ends within %g s", self.name, error, LEASE_SECONDS)

    def _make(self, name: str) -> None:
        with suppress(ObjectAlreadyExists):
            self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))

    def _reset(self, name: str) -> None:
        """Free a slot that nobody can still hold: a server with leases in memory forgets them when it restarts."""
        log.warning(
            "%s was not free for %g s, but is held for seconds: taking its slots for lost", name, _STUCK_SECONDS
        )
        with suppress(httpx.HTTPError, ObjectNotFound):
            self._client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=0))


def _is_taken(error: httpx.HTTPError) -> bool:
    """True if the server's answer is that no slot is free."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.LOCKED
