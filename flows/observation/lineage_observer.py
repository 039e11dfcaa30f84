"""OpenLineage: the events of a run, or of maintenance, sent by a thread of their own.

A server that is slow or not there is waited for at the end of the run, and no longer than the caller allows.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

from openlineage.client import OpenLineageClient, event_v2

from polyseme.flows.observation import maintenance_events
from polyseme.flows.observation.configuration import Lineage
from polyseme.flows.observation.facts import MaintenanceBegun, MaintenanceEnded, RunBegun, RunEnded
from polyseme.flows.observation.lineage_events import Written, add, begun, ended
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Shard, ShardResult

_TIMEOUT_SECONDS = 2.0
_RETRIES = 1

log = logging.getLogger(__name__)


class LineageObserver:
    """Tells OpenLineage that a run begins, and how it ended."""

    def __init__(self, run: RunBegun, settings: Lineage) -> None:
        self._run, self._settings = run, settings
        self._written: dict[str, Written] = {}
        self._sender = _Sender(settings)
        self._sender.put(begun(run, settings))

    def submitted(self, shard: Shard) -> None:
        """Nothing: events are of runs."""

    def committed(self, result: ShardResult) -> None:
        """Count what the shard wrote."""
        add(self._written, result)

    def failed(self, shard: Shard) -> None:
        """Nothing: the run says how many failed."""

    def scanned(self, seconds: float) -> None:
        """Nothing."""

    def published(self, seconds: float) -> None:
        """Nothing."""

    def ended(self, end: RunEnded) -> None:
        """Send the event of the run's end."""
        self._sender.put(ended(self._run, end, self._written, self._settings))

    def close(self, seconds: float) -> bool:
        """Wait for the events. Raises PolysemeError for one that could not be sent."""
        return self._sender.close(seconds)


class MaintenanceLineage:
    """Tells OpenLineage that maintenance begins, and how it ended."""

    def __init__(self, work: MaintenanceBegun, settings: Lineage) -> None:
        self._work, self._settings, self._sender = work, settings, _Sender(settings)
        self._sender.put(maintenance_events.begun(work, settings))

    def ended(self, end: MaintenanceEnded) -> None:
        """Send the event of the end."""
        self._sender.put(maintenance_events.ended(self._work, end, self._settings))

    def close(self, seconds: float) -> bool:
        """Wait for the events. Raises PolysemeError for one that could not be sent."""
        return self._sender.close(seconds)


class _Sender:
    """A thread that sends events in their order."""

    def __init__(self, settings: Lineage) -> None:
        self._events: queue.SimpleQueue[event_v2.RunEvent | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._client = OpenLineageClient(config=_config(settings))
        self._thread = threading.Thread(target=self._send, name="polyseme-openlineage", daemon=True)
        self._thread.start()

    def put(self, event: event_v2.RunEvent) -> None:
        """Send an event after those before."""
        self._events.put(event)

    def close(self, seconds: float) -> bool:
        """Wait for the thread. Raises PolysemeError for an event that could not be sent."""
        self._events.put(None)
        self._thread.join(seconds)
        if self._error is not None:
            raise PolysemeError(
                f"an event could not be delivered ({type(self._error).__name__}). Check OPENLINEAGE_URL, or "
                "[openlineage] in polyseme.toml; the run itself is not affected."
            )
        return not self._thread.is_alive()

    def _send(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._client.emit(event)
            except Exception as error:
                log.debug("an OpenLineage event was not sent", exc_info=True)
                self._error = self._error or error


def _config(settings: Lineage) -> dict[str, Any]:
    """Return the client's configuration, which its own environment overrides."""
    # The client would add the address of the git repository that the command happens to run in.
    config: dict[str, Any] = {"facets": {"source_code_location": {"disabled": True}}}
    if settings.file:
        return config | {"transport": {"type": "file", "log_file_path": settings.file, "append": True}}
    if settings.url:
        http = {"type": "http", "url": settings.url, "timeout": _TIMEOUT_SECONDS, "retry": {"total": _RETRIES}}
        return config | {"transport": http}
    return config
