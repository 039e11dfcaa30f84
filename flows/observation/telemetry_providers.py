"""OpenTelemetry's providers of one run: where its spans and metrics go.

Polyseme's own, which the run ends with, unless the program that it is part of has set up global ones: then those, which
it leaves alone. Prefect makes spans through the global ones too and sets none up by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from polyseme.flows.observation.configuration import Telemetry
from polyseme.storage.errors import PolysemeError

SERVICE = "polyseme"
_EXPORTERS = "opentelemetry.exporter.otlp"


class Providers:
    """The tracer and the meter of a run, and the context that its spans belong to.

    `undelivered` counts exports that failed.
    """

    def __init__(self, settings: Telemetry, version: str) -> None:
        self.undelivered = 0
        self._closing: list[Callable[[], Any]] = []
        resource = _resource(settings, version)
        self.tracer: Tracer = self._tracers(settings, resource).get_tracer(SERVICE, version)
        self.meter = self._meters(settings, resource).get_meter(SERVICE, version)
        self.parent = TraceContextTextMapPropagator().extract(settings.parent) if settings.parent else None

    def close(self, seconds: float) -> bool:
        """Deliver what was not yet, within so many seconds, and return whether that was all of it."""
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=end, daemon=True) for end in self._closing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not (self.undelivered or any(thread.is_alive() for thread in threads))

    def delivered(self, seconds: float) -> bool:
        """Close, and return whether everything was delivered. Raises PolysemeError if some of it was refused."""
        delivered = self.close(seconds)
        if self.undelivered:
            raise PolysemeError(
                "some spans or metrics could not be delivered. Check OTEL_EXPORTER_OTLP_ENDPOINT, or [opentelemetry] "
                "in polyseme.toml; the run itself is not affected."
            )
        return delivered

    def failed(self, error: object) -> None:
        """Count an export that failed."""
        logging.getLogger(__name__).debug("an export to OpenTelemetry failed: %s", error)
        self.undelivered += 1

    def _tracers(self, settings: Telemetry, resource: Resource) -> trace.TracerProvider:
        found = trace.get_tracer_provider()
        if not isinstance(found, trace.ProxyTracerProvider):
            return found
        if not settings.traces:
            return trace.NoOpTracerProvider()
        _quiet()
        own = TracerProvider(resource=resource, shutdown_on_exit=False)
        own.add_span_processor(BatchSpanProcessor(_Spans(self, settings)))
        self._closing.append(own.shutdown)
        return own

    def _meters(self, settings: Telemetry, resource: Resource) -> metrics.MeterProvider:
        found = metrics.get_meter_provider()
        if isinstance(found, MeterProvider):
            return found
        if not settings.metrics:
            return metrics.NoOpMeterProvider()
        _quiet()
        own = MeterProvider(
            [PeriodicExportingMetricReader(_Metrics(self, settings))], resource=resource, shutdown_on_exit=False
        )
        self._closing.append(own.shutdown)
        return own


class _Spans(SpanExporter):
    """Exports spans by OTLP, and tells whether it could."""

    def __init__(self, providers: Providers, settings: Telemetry) -> None:
        self._providers, self._exporter = providers, OTLPSpanExporter(**_export(settings, "traces"))

    def export(self, spans: Any) -> SpanExportResult:
        result: SpanExportResult = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._providers.failed(result)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _Metrics(MetricExporter):
    """Exports metrics by OTLP, and tells whether it could."""

    def __init__(self, providers: Providers, settings: Telemetry) -> None:
        self._providers, self._exporter = providers, OTLPMetricExporter(**_export(settings, "metrics"))
        super().__init__(self._exporter._preferred_temporality, self._exporter._preferred_aggregation)

    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        result: MetricExportResult = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            self._providers.failed(result)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._exporter.shutdown(timeout_millis, **kwargs)


def _export(settings: Telemetry, signal: str) -> dict[str, Any]:
    """Return the full address for a signal and the timeout; None for what the environment has."""
    endpoint = settings.endpoint and f"{settings.endpoint.rstrip('/')}/v1/{signal}"
    return {"endpoint": endpoint, "timeout": settings.timeout}


def _resource(settings: Telemetry, version: str) -> Resource:
    named = {SERVICE_NAME: SERVICE} if settings.names_service else {}
    return Resource.create({**named, "service.version": version})


def _quiet() -> None:
    """Let the exporters log nothing for people: a run warns once."""
    logging.getLogger(_EXPORTERS).setLevel(logging.CRITICAL + 1)
