"""OpenLineage: events that OpenLineage's own model and the schemas accept, over HTTP and in a file.

OpenLineage's JSON schemas do not ship in its package. Required fields and formats of its core schema 2-0-2 are checked
here as its specification states them, and the package's model, which is generated from the schemas, made the events.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from polyseme.flows.observation.datasets import place_name, source_name, table_name
from polyseme.flows.observation.facts import RunEnded, Source
from polyseme.flows.observation.observation import Observation, observe
from polyseme.storage.schemas import TABLES, table_schema
from tests.extras import require
from tests.flows.observation.conftest import END, RESULT, RUN, SHARD, SPEC, Collector
from tests.repository import ROOT

jsonschema = pytest.importorskip("jsonschema")
require("openlineage.client", "openlineage")

pytestmark = pytest.mark.extra

OURS = {
    f"polyseme_{name}": json.loads((ROOT / f"docs/schemas/openlineage-{name}-facet.json").read_text("utf-8"))
    for name in ("run", "maintenance")
}
_FACETS = {"type": "object", "additionalProperties": {"$ref": "#/$defs/facet"}}
CORE = {
    "$defs": {
        "facet": {
            "type": "object",
            "required": ["_producer", "_schemaURL"],
            "properties": {name: {"type": "string", "format": "uri"} for name in ("_producer", "_schemaURL")},
        },
        "dataset": {
            "type": "object",
            "required": ["namespace", "name"],
            "properties": {
                "namespace": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1},
                "facets": _FACETS, "inputFacets": _FACETS, "outputFacets": _FACETS,
            },
        },
    },
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job", "eventType"],
    "properties": {
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": {"type": "string", "format": "uri"},
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "run": {
            "type": "object", "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": _FACETS},
        },
        "job": {
            "type": "object", "required": ["namespace", "name"],
            "properties": {"namespace": {"type": "string"}, "name": {"type": "string"}, "facets": _FACETS},
        },
        "inputs": {"type": "array", "items": {"$ref": "#/$defs/dataset"}},
        "outputs": {"type": "array", "items": {"$ref": "#/$defs/dataset"}},
    },
}  # fmt: skip


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """Validate an event against the core schema and its facet of ours, of which it has one, against its schema."""
    formats = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(CORE, format_checker=formats).validate(event)
    (name,) = OURS.keys() & event["run"]["facets"].keys()
    jsonschema.Draft202012Validator(OURS[name], format_checker=formats).validate(event["run"]["facets"][name])
    UUID(event["run"]["runId"])
    return event


def tell(observation: Observation, end: RunEnded = END) -> None:
    observation.submitted(SHARD)
    observation.committed(RESULT)
    observation.scanned(1.0)
    with observation.publishing():
        pass
    observation.ended(end)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that `polyseme.toml` in the working directory names."""
    Path("polyseme.toml").write_text(f'[openlineage]\nnamespace = "team"\nfile = "{tmp_path / "events.jsonl"}"\n')
    return tmp_path / "events.jsonl"


def events(file: Path) -> list[dict[str, Any]]:
    return [checked(json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def test_a_run_is_two_events_in_a_file_with_what_it_read_and_wrote(file: Path) -> None:
    tell(observe(RUN))
    first, last = events(file)
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert first["run"]["runId"] == last["run"]["runId"]
    assert (last["job"]["namespace"], last["job"]["name"]) == ("team", "embed.lake")
    assert [(one["namespace"], one["name"]) for one in last["inputs"]] == [
        ("file", "/data/news"),
        ("file", "/data/more"),
    ]
    outputs = {one["name"]: one for one in last["outputs"]}
    sentences = outputs[f"/data/lake/data/sentences/encoding={SPEC.encoding_id}"]
    statistics = sentences["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (9, 3096, 1)
    fields = {column["name"]: column["type"] for column in sentences["facets"]["schema"]["fields"]}
    assert fields["embedding"] == "fixed_size_list<item: halffloat not null>[384]"
    source = sentences["facets"]["columnLineage"]["fields"]["embedding"]["inputFields"][0]
    assert (source["name"], source["field"]) == (f"/data/lake/data/documents/encoding={SPEC.encoding_id}", "text")
    facet = last["run"]["facets"]["polyseme_run"]
    assert facet["documents"]["unchanged"] == 7
    assert facet["counts"]["forward_tokens"] == 130
    assert facet["counts"]["rounded_documents"] == 1
    assert facet["rejects"] == {"no-text": 4}
    assert (facet["encoding"]["id"], facet["seconds"]["wall"]) == (SPEC.encoding_id, 2.0)
    assert "state" not in first["run"]["facets"]["polyseme_run"]


@pytest.mark.parametrize(
    ("state", "kind"),
    [("held-back", "COMPLETE"), ("failed", "FAIL"), ("cancelled", "ABORT"), ("completed", "COMPLETE")],
)
def test_each_end_has_its_event_and_an_error_its_facet(file: Path, state: str, kind: str) -> None:
    error = None if state == "completed" else "1 of 3 shards failed after their retries: OSError"
    tell(observe(RUN), replace(END, state=state, error=error))
    last = events(file)[-1]
    assert last["eventType"] == kind
    message = last["run"]["facets"].get("errorMessage", {}).get("message")
    assert message == (error if kind in ("FAIL", "ABORT") else None)


def test_a_run_inside_a_flow_run_names_it_as_its_parent(file: Path) -> None:
    flow_run = str(uuid4())
    tell(observe(RUN), replace(END, flow_run_id=flow_run, flow="embed"))
    parent = events(file)[-1]["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]) == (
        flow_run,
        {"facets": {}, "name": "embed", "namespace": "prefect"},
    )


def test_the_id_of_a_run_follows_from_the_lake_and_the_run(file: Path) -> None:
    tell(observe(RUN))
    tell(observe(RUN))
    tell(observe(replace(RUN, lake_id="e" * 32)))
    ids = [event["run"]["runId"] for event in events(file)[::2]]
    assert ids[0] == ids[1] != ids[2]


def test_a_backfill_from_the_lake_reads_its_documents(file: Path) -> None:
    tell(observe(replace(RUN, kind="backfill", sources=())))
    last = events(file)[-1]
    assert [one["name"] for one in last["inputs"]] == ["/data/lake/data/documents"]
    assert last["job"]["name"] == "backfill.lake"


@pytest.mark.parametrize("how", ["file", "environment", "transport"])
def test_events_arrive_over_http(how: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "file":
        Path("polyseme.toml").write_text(f'[openlineage]\nurl = "{collector.address}"\n')
    elif how == "environment":
        Path("polyseme.toml").write_text('[openlineage]\nurl = "http://127.0.0.1:1"\njob = "mine"\n')
        monkeypatch.setenv("OPENLINEAGE_URL", collector.address)
    else:
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", collector.address)
    tell(observe(RUN))
    kinds = [checked(json.loads(body))["eventType"] for body in collector.bodies("/api/v1/lineage")]
    assert kinds == ["START", "COMPLETE"]
    assert json.loads(collector.posted[0][1])["job"]["name"] == ("mine" if how == "environment" else "embed.lake")


def test_disabled_is_disabled(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    tell(observe(RUN))
    assert not file.exists()


def test_a_server_that_refuses_costs_one_warning(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.status = 500
    Path("polyseme.toml").write_text(f'[openlineage]\nurl = "{collector.address}"\n')
    with caplog.at_level(logging.WARNING, "polyseme"):
        tell(observe(RUN))
    (warning,) = [r for r in caplog.records if r.name.startswith("polyseme")]
    assert "could not be delivered" in warning.message
    assert "OPENLINEAGE_URL" in warning.message


def test_a_server_that_answers_nothing_is_not_waited_for(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.flows.observation.observation.PATIENCE_SECONDS", 0.5)
    collector.stalled.set()
    Path("polyseme.toml").write_text(f'[openlineage]\nurl = "{collector.address}"\n')
    began = time.monotonic()
    tell(observe(RUN))
    assert time.monotonic() - began < 5
    assert len([r for r in caplog.records if r.name.startswith("polyseme")]) == 1


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/lake", ("file", "/data/lake/data/words/encoding=e")),
        ("s3://bucket/lakes/news", ("s3://bucket", "lakes/news/data/words/encoding=e")),
    ],
)
def test_tables_are_named_after_their_place(address: str, name: tuple[str, str]) -> None:
    assert table_name(address, "words", "e") == name


def test_sources_are_named_after_their_place() -> None:
    assert source_name(Source(kind="file", name="/a/b.jsonl")) == ("file", "/a/b.jsonl")
    assert source_name(Source(kind="glob", name="/a/b*/c.txt")) == ("file", "/a")
    assert source_name(Source(kind="objects", name="s3://b/c d/")) == ("s3://b", "c d")
    assert source_name(Source(kind="objects", name="s3://b/c/20*/x.txt")) == ("s3://b", "c")
    assert source_name(Source(kind="objects", name="s3://b/")) == ("s3://b", "/")
    assert source_name(Source(kind="web", name="https://example.org/a/b.html")) == ("https://example.org", "a/b.html")
    assert source_name(Source(kind="stdin", name="feed")) == ("stdin", "feed")
    assert source_name(Source(kind="stdin", name="")) is None
    rows = Source(kind="query", name="postgresql://host/db?cursor=at&table=public.t")
    assert source_name(rows) == ("postgres://host:5432", "db.public.t")
    rows = Source(kind="query", name="mysql://host/db?table=t")
    assert source_name(rows) == ("mysql://host:3306", "db.t")
    assert source_name(Source(kind="table", name="delta:///a/b%20c")) == ("file", "/a/b c")
    assert source_name(Source(kind="table", name="iceberg://prod/news.articles")) == ("iceberg://prod", "news.articles")
    assert source_name(Source(kind="query", name="sqlite:////a/b.db?query=SELECT%201")) == (
        "sqlite",
        "/a/b.db.SELECT 1",
    )
    assert place_name("file:///a%20b") == ("file", "/a%20b")


def test_column_lineage_names_columns_that_exist() -> None:
    from polyseme.flows.observation.datasets import derived_columns

    for table in TABLES:
        assert set(derived_columns(table)) <= set(table_schema(table, 4).names)
