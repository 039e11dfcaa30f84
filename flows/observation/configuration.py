"""The configuration of observers: their own environment, else `[openlineage]` and `[opentelemetry]` in `polyseme.toml`.

Settings of the environment that are not named here are read by the packages themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from polyseme.flows.settings import from_folder, observation_environment, texts_of
from polyseme.storage.errors import UsageError

_LINEAGE_PLACES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
_ENDPOINT, _TIMEOUT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT"
EXPORT_SECONDS = 2.0
"""For how long an export to OpenTelemetry is tried."""
_TRACE_CONTEXT = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where OpenLineage events go, and under which names. Without `url` and `file` the environment says where."""

    namespace: str = "polyseme"
    job: str | None = None
    url: str | None = None
    file: str | None = None


def lineage() -> Lineage | None:
    """Return the settings of OpenLineage: its own environment, else `[openlineage]` in `polyseme.toml`; None if off.

    Raises UsageError.
    """
    environment = observation_environment()
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return None
    path, found = texts_of("openlineage", ("namespace", "job", "url", "file"))
    for name in ("namespace", "job"):
        if value := environment.get(f"OPENLINEAGE_{name.upper()}"):
            found[name] = value
    if any(name in _LINEAGE_PLACES or name.startswith("OPENLINEAGE__TRANSPORT") for name in environment):
        return Lineage(**{name: value for name, value in found.items() if name not in ("url", "file")})
    if "file" in found:
        found["file"] = from_folder(found["file"], path.parent)
    return Lineage(**found) if "url" in found or "file" in found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Which signals OpenTelemetry gets. `endpoint` is that of `polyseme.toml`; None if the environment has one.

    `timeout` is that of an export in seconds, None likewise; `parent` the W3C trace context that the run belongs to.
    """

    endpoint: str | None = None
    timeout: float | None = EXPORT_SECONDS
    traces: bool = True
    metrics: bool = True
    names_service: bool = True
    parent: Mapping[str, str] = field(default_factory=dict)


def telemetry() -> Telemetry | None:
    """Return the settings of OpenTelemetry: its environment, else `[opentelemetry]` in `polyseme.toml`; None if off.

    Raises UsageError for a protocol that is not installed.
    """
    environment = observation_environment()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    _, found = texts_of("opentelemetry", ("endpoint",))
    if any(name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT") for name in environment):
        found = {}
    on = {
        signal: environment.get(f"OTEL_{signal}_EXPORTER", "otlp") != "none"
        and bool(found or _ENDPOINT in environment or f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" in environment)
        for signal in ("TRACES", "METRICS")
    }
    if not any(on.values()):
        return None
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        raise UsageError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}; Polyseme sends http/protobuf (port 4318) only.")
    return Telemetry(
        endpoint=found.get("endpoint"),
        timeout=None if _TIMEOUT in environment else EXPORT_SECONDS,
        traces=on["TRACES"],
        metrics=on["METRICS"],
        names_service=not (
            "OTEL_SERVICE_NAME" in environment or "service.name" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
        ),
        parent={name: environment[name.upper()] for name in _TRACE_CONTEXT if environment.get(name.upper())},
    )
