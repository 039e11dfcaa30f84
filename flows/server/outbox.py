"""The outbox of a watcher: events that the Prefect server has not acknowledged yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from polyseme.flows.display.terminal import note
from polyseme.flows.events import URIS_IN_AN_EVENT, SendError, SourceChanged, as_event, event_id, now
from polyseme.storage.wording import many

_LONGEST_PAUSE, _MOST_DOUBLINGS = 30.0, 6


class Outbox:
    """Events that the server has not acknowledged yet; tried again, each time after a longer pause.

    An event keeps its id over all attempts. While the server is away one event a corpus is enough: the run that it
    starts scans all of it.
    """

    def __init__(self, deliver: Callable[[Sequence[dict[str, object]]], None]) -> None:
        self._deliver = deliver
        self._waiting: dict[str, tuple[SourceChanged, str]] = {}
        self._failures = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, payload: SourceChanged, what: str) -> None:
        """Queue an event about `what`, merged with one of the same corpus that still waits."""
        what = hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()
        if payload.corpus in self._waiting:
            before, earlier = self._waiting[payload.corpus]
            payload = SourceChanged(
                corpus=payload.corpus,
                reason="files-settled",
                files=before.files + payload.files,
                uris=tuple(dict.fromkeys(before.uris + payload.uris))[:URIS_IN_AN_EVENT],
            )
            what = hashlib.sha256((earlier + what).encode()).hexdigest()
        self._waiting[payload.corpus] = payload, what

    def flush(self, *, at: float) -> None:
        """Send what waits, unless the last attempt failed too recently."""
        if not self._waiting or at < self._not_before:
            return
        occurred = now()
        events = [
            as_event(payload, occurred=occurred, event_id=event_id(payload, what))
            for payload, what in self._waiting.values()
        ]
        try:
            self._deliver(events)
        except SendError as error:
            if not self._failures:
                note(f"The Prefect server does not answer ({error}). Trying until it does; nothing is lost.")
            self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
            self._not_before = at + min(_LONGEST_PAUSE, 0.5 * 2**self._failures)
            return
        for payload, _ in self._waiting.values():
            note(f"{payload.corpus}: {payload.reason}, {many(payload.files, 'files')}")
        self._waiting.clear()
        self._failures, self._not_before = 0, 0.0
