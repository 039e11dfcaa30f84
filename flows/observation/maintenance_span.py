"""OpenTelemetry: maintenance as one span, with its counts, and its duration as a metric."""

from __future__ import annotations

from opentelemetry.trace import SpanKind, Status, StatusCode

from polyseme.flows.observation.configuration import Telemetry
from polyseme.flows.observation.facts import MaintenanceBegun, MaintenanceEnded, installed_version
from polyseme.flows.observation.telemetry_providers import Providers

_NANO = 1_000_000_000


class MaintenanceSpan:
    """Makes the span of one maintenance of a lake."""

    def __init__(self, work: MaintenanceBegun, settings: Telemetry) -> None:
        self._providers = Providers(settings, installed_version())
        self._attributes: dict[str, str] = {"polyseme.maintenance.kind": work.kind}
        about = {"polyseme.lake.id": work.lake_id, "polyseme.lake.address": work.lake}
        if work.flow_run_id:
            about["prefect.flow_run.id"] = work.flow_run_id
        self._span = self._providers.tracer.start_span(
            work.kind,
            context=self._providers.parent,
            kind=SpanKind.INTERNAL,
            start_time=round(work.at.timestamp() * _NANO),
            attributes=self._attributes | about,
        )
        self._duration = self._providers.meter.create_histogram(
            "polyseme.maintenance.duration", "s", "Wall seconds of maintenance."
        )

    def ended(self, end: MaintenanceEnded) -> None:
        """End the span."""
        state = {"polyseme.maintenance.state": end.state}
        for name, number in end.counts.items():
            self._span.set_attribute(f"polyseme.maintenance.{name}", number)
        self._span.set_attributes(state)
        if end.state != "completed":
            self._span.set_status(Status(StatusCode.ERROR, end.error or end.state))
            self._span.set_attribute("error.type", end.state)
        self._duration.record(end.seconds, self._attributes | state)
        self._span.end(round(end.at.timestamp() * _NANO))

    def close(self, seconds: float) -> bool:
        """Deliver what is left. Raises PolysemeError if some of it was refused."""
        return self._providers.delivered(seconds)
