"""OpenTelemetry: a run as a trace and as metrics, in a collector that decodes OTLP."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polyseme.flows.observation.facts import RunEnded
from polyseme.flows.observation.observation import Observation, observe
from tests import processes
from tests.extras import require
from tests.flows.observation.conftest import COUNTS, END, RESULT, RUN, SHARD, Collector
from tests.repository import ROOT

require("opentelemetry.exporter.otlp.proto.http", "otel")

pytestmark = pytest.mark.extra

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

from polyseme.flows.observation import telemetry_observer  # noqa: E402

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tell(observation: Observation, end: RunEnded = END) -> None:
    observation.submitted(SHARD)
    observation.submitted(replace(SHARD, ordinal=1))
    observation.committed(RESULT)
    observation.failed(replace(SHARD, ordinal=1))
    observation.scanned(1.0)
    with observation.publishing():
        pass
    observation.ended(end)


def value(attribute: Any) -> Any:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def attributes(of: Any) -> dict[str, Any]:
    return {attribute.key: value(attribute) for attribute in of.attributes}


def spans(collector: Collector) -> dict[str, Any]:
    """Return the spans by name; two shards by their ordinals."""
    found = {}
    for body in collector.bodies("/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            assert attributes(resource.resource)["service.name"] == "polyseme"
            for scope in resource.scope_spans:
                for span in scope.spans:
                    ordinal = attributes(span).get("polyseme.shard.ordinal")
                    found[span.name if ordinal is None else f"{span.name} {ordinal}"] = span
    return found


def metrics(collector: Collector) -> dict[str, Any]:
    """Return the last state of each metric by name."""
    return {
        metric.name: metric
        for body in collector.bodies("/v1/metrics")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.fixture
def endpoint(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
    yield collector
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.NOTSET)


def test_a_run_is_one_trace_with_its_scan_shards_stages_and_publication(endpoint: Collector) -> None:
    tell(observe(RUN))
    found = spans(endpoint)
    run = found["embed polyseme_mini"]
    assert set(found) == {"embed polyseme_mini", "scan", "shard 0", "shard 1", "encode", "read", "publish"}
    assert {span.trace_id for span in found.values()} == {run.trace_id}
    assert run.parent_span_id == b""
    for name in ("scan", "shard 0", "shard 1", "publish"):
        assert found[name].parent_span_id == run.span_id
    for name, seconds in COUNTS.seconds.items():
        assert found[name].parent_span_id == found["shard 0"].span_id
        assert found[name].end_time_unix_nano - found[name].start_time_unix_nano == seconds * 1e9
    assert run.end_time_unix_nano - run.start_time_unix_nano == 2e9
    about = attributes(run)
    assert about["polyseme.run.id"] == RUN.run_id
    assert about["polyseme.run.tokens"] == 100
    assert about["polyseme.documents.unchanged"] == 7
    assert run.status.code == 0
    assert found["shard 1"].status.code == 2


def test_counts_are_metrics_with_their_units(endpoint: Collector) -> None:
    tell(observe(RUN, queued=lambda: 4))
    found = metrics(endpoint)
    totals = {name: sum(p.as_int for p in m.sum.data_points) for name, m in found.items() if m.HasField("sum")}
    assert totals == {
        "polyseme.committed.documents": 3, "polyseme.sentences": 9, "polyseme.tokens": 100,
        "polyseme.rounded.documents": 1,
        "polyseme.forward.tokens": 130, "polyseme.written": 4096, "polyseme.documents": 14, "polyseme.rejects": 4,
    }  # fmt: skip
    assert (found["polyseme.written"].unit, found["polyseme.tokens"].unit) == ("By", "{token}")
    outcomes = {
        attributes(p)["polyseme.document.outcome"]: p.as_int for p in found["polyseme.documents"].sum.data_points
    }
    assert (outcomes["new"], outcomes["changed"], outcomes["unchanged"], outcomes["rejected"]) == (2, 1, 7, 4)
    stages = {attributes(p)["polyseme.stage"]: p.sum for p in found["polyseme.stage.duration"].histogram.data_points}
    assert stages == COUNTS.seconds
    assert found["polyseme.shards.queued"].gauge.data_points[0].as_int == 4
    assert found["polyseme.shards.in_flight"].gauge.data_points[0].as_int == 0


@pytest.mark.parametrize(("state", "code"), [("failed", 2), ("cancelled", 2), ("held-back", 0)])
def test_the_status_of_the_trace_is_that_of_the_run(endpoint: Collector, state: str, code: int) -> None:
    tell(observe(RUN), replace(END, state=state, error="OSError"))
    run = spans(endpoint)["embed polyseme_mini"]
    assert (run.status.code, attributes(run)["polyseme.run.state"]) == (code, state)


def test_a_run_continues_the_trace_of_whoever_started_it(endpoint: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    tell(observe(RUN))
    run = spans(endpoint)["embed polyseme_mini"]
    assert (run.trace_id.hex(), run.parent_span_id.hex()) == (PARENT.split("-")[1], PARENT.split("-")[2])


def test_the_file_names_an_endpoint_and_the_environment_beats_it(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("polyseme.toml").write_text(f'[opentelemetry]\nendpoint = "{collector.address}/"\n')
    tell(observe(RUN))
    assert {path for path, _ in collector.posted} == {"/v1/traces", "/v1/metrics"}
    collector.posted.clear()
    Path("polyseme.toml").write_text('[opentelemetry]\nendpoint = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    tell(observe(RUN))
    assert {path for path, _ in collector.posted} == {"/v1/traces"}


def test_a_service_may_have_another_name(endpoint: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    tell(observe(RUN))
    request = ExportTraceServiceRequest.FromString(endpoint.bodies("/v1/traces")[0])
    assert attributes(request.resource_spans[0].resource)["service.name"] == "nightly"


@pytest.mark.parametrize(("name", "text"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])
def test_disabled_or_in_another_protocol_nothing_is_sent(
    endpoint: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    tell(observe(RUN))
    assert endpoint.posted == []
    assert ("http/protobuf" in caplog.text) == (text == "grpc")


def test_a_collector_that_is_not_there_costs_one_warning_and_little_time(
    endpoint: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("polyseme.flows.observation.observation.PATIENCE_SECONDS", 1.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tell(observe(RUN))
    assert time.monotonic() - began < 6
    assert [r.name for r in caplog.records if r.levelno >= logging.WARNING] == [
        "polyseme.flows.observation.observation"
    ]


_GLOBAL = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
from polyseme.flows.observation.observation import observe
from tests.flows.observation.conftest import END, RUN
observe(RUN).ended(END)
assert [span.name for span in kept.get_finished_spans()] == ["embed polyseme_mini"], kept.get_finished_spans()
trace.get_tracer("another").start_span("after").end()
assert len(kept.get_finished_spans()) == 2, "the run shut down a provider that is not its own"
"""

_NOTHING = """
import sys
from polyseme.flows.observation.observation import observe
from tests.flows.observation.conftest import END, RUN
observation = observe(RUN)
observation.ended(END)
assert not observation.observers
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"openlineage", "opentelemetry", "prefect", "torch"}, loaded
"""

_OWN = """
import prefect
from opentelemetry import metrics, trace
before = trace.get_tracer_provider(), type(metrics.get_meter_provider())
from polyseme.flows.observation.observation import observe
from tests.flows.observation.conftest import END, RUN
observe(RUN).ended(END)
assert (trace.get_tracer_provider(), type(metrics.get_meter_provider())) == before
"""


@pytest.mark.parametrize("script", [_GLOBAL, _OWN], ids=["a global provider is used", "no global provider is set"])
def test_global_providers_stay_as_they_are(script: str, endpoint: Collector) -> None:
    processes.run(sys.executable, "-c", script, cwd=ROOT)
    assert ("/v1/traces" in {path for path, _ in endpoint.posted}) == (script is _OWN)


def test_without_settings_nothing_is_imported_or_done() -> None:
    processes.run(sys.executable, "-c", _NOTHING, cwd=ROOT)


def test_the_environment_of_one_signal_beats_the_file_for_both(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("polyseme.toml").write_text('[opentelemetry]\nendpoint = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.address}/v1/traces")
    tell(observe(RUN))
    assert {path for path, _ in collector.posted} == {"/v1/traces"}


def test_the_documentation_names_every_metric_with_its_unit(endpoint: Collector) -> None:
    page = (ROOT / "docs/observability.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(polyseme\.[\w.]+)` \| \w+ \| `(\S+)` \|", page, re.MULTILINE))
    tell(observe(RUN))
    sent = {(name, metric.unit) for name, metric in metrics(endpoint).items()}
    assert sent <= documented
    source = Path(telemetry_observer.__file__).read_text("utf-8")
    assert {name for name, _ in documented} == set(re.findall(r'"(polyseme\.[\w.]+)", (?:"|lambda|self)', source))
