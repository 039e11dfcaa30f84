"""OpenTelemetry: a run as one trace, and its counts as metrics.

Knows what the process that coordinates a run knows, whichever runner encodes the shards: their counts and seconds by
stage come back to it. The spans of a shard's stages have true durations; their starts are not known and are laid end to
end from the shard's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from polyseme.flows.observation.configuration import Telemetry
from polyseme.flows.observation.facts import RunBegun, RunEnded, installed_version
from polyseme.flows.observation.telemetry_providers import Providers
from polyseme.storage.records import Counts, Shard, ShardResult

_NANO = 1_000_000_000
_NOT_OUTCOMES = ("documents", "chars_to_encode")
"""Counts of a scan that are not of one thing that became of a document."""


class TelemetryObserver:
    """Makes the spans and metrics of one run."""

    def __init__(self, run: RunBegun, settings: Telemetry, queued: Callable[[], int] = lambda: 0) -> None:
        self._run, self._providers, self._queued = run, Providers(settings, installed_version()), queued
        self._attributes = {"polyseme.encoding.name": run.encoding, "polyseme.run.kind": run.kind}
        self._span = self._providers.tracer.start_span(
            f"{run.kind} {run.encoding}",
            context=self._providers.parent,
            kind=SpanKind.INTERNAL,
            start_time=_nanoseconds(run.at.timestamp()),
            attributes={
                **self._attributes,
                "polyseme.run.id": run.run_id,
                "polyseme.lake.id": run.lake_id,
                "polyseme.lake.address": run.lake,
                "polyseme.encoding.id": run.spec.encoding_id,
                "polyseme.encoding.model": run.spec.model,
                "polyseme.source.count": len(run.sources),
            },
        )
        self._context = set_span_in_context(self._span)
        self._shards: dict[int, Span] = {}
        self._make_instruments()

    def submitted(self, shard: Shard) -> None:
        """Begin the span of a shard."""
        attributes = {"polyseme.shard.ordinal": shard.ordinal, "polyseme.shard.documents": shard.n_documents}
        self._shards[shard.ordinal] = self._child("shard", time.time(), attributes)

    def committed(self, result: ShardResult) -> None:
        """End the span of a shard, with one for each of its stages, and count what it did."""
        span = self._shards.pop(result.shard.ordinal, None)
        if span is not None:
            _numbers(span, "polyseme.shard", result.counts)
            self._stages(span, result.counts.seconds)
            span.end()
        self._count(result.counts)

    def failed(self, shard: Shard) -> None:
        """End the span of a shard that failed."""
        if (span := self._shards.pop(shard.ordinal, None)) is not None:
            span.set_status(Status(StatusCode.ERROR, "failed after its retries"))
            span.end()

    def scanned(self, seconds: float) -> None:
        """Make the span of the scan."""
        began = self._run.at.timestamp()
        self._child("scan", began, {}).end(_nanoseconds(began + seconds))

    def published(self, seconds: float) -> None:
        """Make the span of the publication."""
        now = time.time()
        self._child("publish", now - seconds, {}).end(_nanoseconds(now))

    def ended(self, end: RunEnded) -> None:
        """End the span of the run, and count what its scan found."""
        for span in self._shards.values():
            span.set_status(Status(StatusCode.ERROR, "not committed"))
            span.end()
        self._shards.clear()
        found = {name: number for name, number in asdict(end.tally).items() if name not in _NOT_OUTCOMES}
        for name, number in (found | {"held_back": end.held_back}).items():
            self._documents.add(number, self._attributes | {"polyseme.document.outcome": name})
            self._span.set_attribute(f"polyseme.documents.{name}", number)
        for code, number in end.refused.items():
            self._rejects.add(number, self._attributes | {"polyseme.reject.code": code})
        _numbers(self._span, "polyseme.run", end.counts)
        self._span.set_attribute("polyseme.run.state", end.state)
        if end.flow_run_id:
            self._span.set_attribute("prefect.flow_run.id", end.flow_run_id)
        if end.state in ("failed", "cancelled"):
            self._span.set_status(Status(StatusCode.ERROR, end.error or end.state))
            self._span.set_attribute("error.type", end.state)
        self._duration.record(end.seconds, self._attributes | {"polyseme.run.state": end.state})
        self._span.end(_nanoseconds(end.at.timestamp()))

    def close(self, seconds: float) -> bool:
        """Deliver what is left. Raises PolysemeError if some of it was refused."""
        return self._providers.delivered(seconds)

    def _child(self, name: str, began: float, attributes: Mapping[str, int]) -> Span:
        return self._providers.tracer.start_span(
            name, context=self._context, start_time=_nanoseconds(began), attributes=dict(attributes)
        )

    def _stages(self, shard: Span, seconds: Mapping[str, float]) -> None:
        context, at = set_span_in_context(shard), getattr(shard, "start_time", None) or _nanoseconds(time.time())
        for stage, length in seconds.items():
            until = at + _nanoseconds(length)
            name = {"polyseme.stage": stage}
            self._providers.tracer.start_span(stage, context=context, start_time=at, attributes=name).end(until)
            self._stage_seconds.record(length, self._attributes | name)
            at = until

    def _make_instruments(self) -> None:
        meter = self._providers.meter
        self._counters = {
            "documents": meter.create_counter("polyseme.committed.documents", "{document}", "Documents committed."),
            "redescribed": meter.create_counter(
                "polyseme.redescribed.documents", "{document}", "Documents of which only the description changed."
            ),
            "rounded_documents": meter.create_counter(
                "polyseme.rounded.documents", "{document}", "Documents whose vectors were rounded, not computed."
            ),
            "sentences": meter.create_counter("polyseme.sentences", "{sentence}", "Sentences committed."),
            "tokens": meter.create_counter("polyseme.tokens", "{token}", "Tokens of committed documents."),
            "forward_tokens": meter.create_counter(
                "polyseme.forward.tokens", "{token}", "Tokens that went through the model, special tokens included."
            ),
            "reused_sentences": meter.create_counter(
                "polyseme.reused.sentences", "{sentence}", "Sentences whose vectors were copied, not computed."
            ),
            "reused_tokens": meter.create_counter(
                "polyseme.reused.tokens", "{token}", "Tokens whose vectors were copied, not computed."
            ),
            "transitions": meter.create_counter("polyseme.transitions", "{transition}", "Transitions scored."),
            "bytes": meter.create_counter("polyseme.written", "By", "Bytes of parts written."),
        }
        self._documents = meter.create_counter("polyseme.documents", "{document}", "Documents by what the scan found.")
        self._rejects = meter.create_counter("polyseme.rejects", "{record}", "Rejected records by code.")
        self._stage_seconds = meter.create_histogram("polyseme.stage.duration", "s", "Wall seconds of a shard's stage.")
        self._duration = meter.create_histogram("polyseme.run.duration", "s", "Wall seconds of a run.")
        for name, number, text in (
            ("polyseme.shards.in_flight", lambda: len(self._shards), "Shards being encoded or committed."),
            ("polyseme.shards.queued", self._queued, "Shards staged and not sent yet."),
        ):
            meter.create_observable_gauge(name, [_observing(number, self._attributes)], "{shard}", text)

    def _count(self, counts: Counts) -> None:
        for name, counter in self._counters.items():
            if number := getattr(counts, name, 0):
                counter.add(number, self._attributes)


def _observing(
    number: Callable[[], int], attributes: Mapping[str, str]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda options: [Observation(number(), attributes)]


def _numbers(span: Span, prefix: str, counts: Counts) -> None:
    for name, number in asdict(counts).items():
        if name != "seconds":
            span.set_attribute(f"{prefix}.{name}", number)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANO)
