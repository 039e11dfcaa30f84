"""The observation of one run, or of maintenance: its observers, of which none can fail it or delay it for long.

Without settings there is no observer, and neither OpenLineage's package nor OpenTelemetry's is imported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Generic, Protocol, TypeVar

from polyseme.flows.observation.configuration import Lineage, Telemetry, lineage, telemetry
from polyseme.flows.observation.facts import Observer, RunBegun, RunEnded
from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Shard, ShardResult

PATIENCE_SECONDS = 5.0
"""How long the end of a run waits, in all, for what was not delivered yet."""

_LINEAGE_PACKAGE, _TELEMETRY_PACKAGE = "openlineage.client", "opentelemetry.exporter.otlp.proto.http"

log = logging.getLogger(__name__)


class _Closed(Protocol):
    def close(self, seconds: float) -> bool: ...


Told = TypeVar("Told", bound=_Closed)


@dataclass(slots=True)
class Observers(Generic[Told]):
    """Observers by name. One that raises is told nothing more, and one warning is logged."""

    observers: dict[str, Told] = field(default_factory=dict)

    def close(self) -> None:
        """Deliver what is left within PATIENCE_SECONDS, and forget the observers."""
        until = time.monotonic() + PATIENCE_SECONDS
        for name in tuple(self.observers):
            left = max(0.0, until - time.monotonic())

            def deliver(observer: Told, left: float = left) -> None:
                if not observer.close(left):
                    raise TimeoutError(f"not everything was delivered within {PATIENCE_SECONDS:.0f} s")

            self.tell(deliver, only=name)
        self.observers.clear()

    def tell(self, call: Callable[[Told], object], *, only: str | None = None) -> None:
        """Call something with each observer, or with the one of that name. Never raises."""
        for name, observer in tuple(self.observers.items()):
            if only in (None, name):
                try:
                    call(observer)
                except Exception as error:  # whatever it is, the run goes on
                    del self.observers[name]
                    log.warning("%s is told nothing more about this run: %s", name, _why(error))
                    log.debug("%s", name, exc_info=True)


@dataclass(slots=True)
class Observation(Observers[Observer]):
    """Tells the observers of a run about it."""

    def submitted(self, shard: Shard) -> None:
        """A shard was sent to be encoded."""
        self.tell(lambda observer: observer.submitted(shard))

    def committed(self, result: ShardResult) -> None:
        """A shard is committed."""
        self.tell(lambda observer: observer.committed(result))

    def failed(self, shard: Shard) -> None:
        """A shard failed after its retries."""
        self.tell(lambda observer: observer.failed(shard))

    def scanned(self, seconds: float) -> None:
        """The scan has ended, so long after the run began."""
        self.tell(lambda observer: observer.scanned(seconds))

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Publish the lake in the body."""
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self.tell(lambda observer: observer.published(seconds))

    def ended(self, end: RunEnded) -> None:
        """The run ended: deliver what there is to say, and forget the observers."""
        self.tell(lambda observer: observer.ended(end))
        self.close()


def observe(run: RunBegun, *, queued: Callable[[], int] = lambda: 0) -> Observation:
    """Return the observation of a run that begins; `queued` counts shards that wait to be sent. Never raises."""
    return Observation(configured(lambda settings: _observer(run, settings, queued)))


def configured(make: Callable[[Lineage | Telemetry], Told]) -> dict[str, Told]:
    """Return what `make` makes of the settings of each observer that is configured and installed. Never raises."""
    found: dict[str, Told] = {}
    try:
        settings = {"OpenLineage": lineage(), "OpenTelemetry": telemetry()}
    except Exception as error:
        log.warning("This run is not observed: %s", _why(error))
        return found
    for name, one in settings.items():
        if one is None:
            continue
        if not _is_installed(one):
            extra = name.lower() if isinstance(one, Lineage) else "otel"
            log.warning("%s is configured, but not installed here: pip install 'polyseme[%s]'", name, extra)
            continue
        try:
            found[name] = make(one)
        except Exception as error:
            log.warning("%s is told nothing about this run: %s", name, _why(error))
            log.debug("%s", name, exc_info=True)
    return found


def _is_installed(settings: Lineage | Telemetry) -> bool:
    try:
        return find_spec(_LINEAGE_PACKAGE if isinstance(settings, Lineage) else _TELEMETRY_PACKAGE) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def _why(error: Exception) -> str:
    """Return what to say about an error. The message of another library's may repeat an address with a password."""
    return str(error) if isinstance(error, PolysemeError | TimeoutError) else type(error).__name__


def _observer(run: RunBegun, settings: Lineage | Telemetry, queued: Callable[[], int]) -> Observer:
    if isinstance(settings, Lineage):
        from polyseme.flows.observation.lineage_observer import LineageObserver

        return LineageObserver(run, settings)
    from polyseme.flows.observation.telemetry_observer import TelemetryObserver

    return TelemetryObserver(run, settings, queued)
