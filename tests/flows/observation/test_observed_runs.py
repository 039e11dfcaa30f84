"""Runs that are observed: what the events and spans of a real run say is what the lake and its report say."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.tasks.shards import stages
from tests import processes
from tests.extras import require
from tests.flows.conftest import TEXTS, Ask
from tests.flows.observation.conftest import Collector
from tests.flows.test_cli import polyseme
from tests.repository import ROOT

require("openlineage.client", "openlineage")
require("opentelemetry.exporter.otlp.proto.http", "otel")

from tests.flows.observation.test_lineage import events  # noqa: E402
from tests.flows.observation.test_telemetry import attributes, metrics, spans  # noqa: E402

pytestmark = [pytest.mark.extra, pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture
def file(collector: Collector) -> Path:
    """Both configured by `polyseme.toml` in the working directory, of which the commands read the rest."""
    Path("polyseme.toml").write_text(
        f'[openlineage]\nfile = "events.jsonl"\n[opentelemetry]\nendpoint = "{collector.address}"\n'
    )
    return Path("events.jsonl")


@pytest.mark.usefixtures("corpus")
def test_events_and_spans_say_what_the_report_says(
    capfd: pytest.CaptureFixture[str], lake: Path, ask: Ask, file: Path, collector: Collector
) -> None:
    corpus = lake.parent / "corpus"
    (corpus / "empty.txt").write_text("")
    code, out, err = polyseme(capfd, "embed", corpus, "--lake", lake, "--level", "words", "--json")
    assert code == 0, err
    report: dict[str, Any] = json.loads(out)
    first, last = events(file)
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert [(one["namespace"], one["name"]) for one in last["inputs"]] == [("file", str(corpus))]

    written = {one["name"]: one["outputFacets"]["outputStatistics"] for one in last["outputs"]}
    for table in ("documents", "sentences", "words", "transitions"):
        ((rows,),) = ask(f"SELECT count(*) FROM {table}")
        folder = lake / "data" / table / f"encoding={report['encoding_id']}"
        assert written[str(folder)]["rowCount"] == rows
        assert written[str(folder)]["size"] == sum(path.stat().st_size for path in folder.iterdir())
    facet = last["run"]["facets"]["polyseme_run"]
    assert facet["documents"].items() >= {
        "read": 3, "new": 3, "changed": 0, "unchanged": 0, "moved": 0, "deleted": 0, "rejected": 1, "heldBack": 0,
    }.items()  # fmt: skip
    assert facet["counts"]["tokens"] == report["counts"]["tokens"]
    assert (facet["runId"], facet["rejects"]) == (report["run_id"], {"empty-file": 1})
    ((flow_run,),) = ask("SELECT flow_run_id FROM runs")
    assert UUID(last["run"]["facets"]["parent"]["run"]["runId"]) == UUID(str(flow_run))

    found = spans(collector)
    run = attributes(found["embed polyseme_mini"])
    assert (run["polyseme.run.id"], run["polyseme.run.tokens"]) == (report["run_id"], report["counts"]["tokens"])
    assert {"scan", "shard 0", "publish", *report["counts"]["seconds"]} <= set(found)
    assert metrics(collector)["polyseme.written"].sum.data_points[0].as_int == report["counts"]["bytes"]

    sent = file.read_bytes() + b"".join(body for _, body in collector.posted)
    for text in TEXTS.values():
        assert text.split(". ")[1].encode() not in sent


def full_disk(*_: object, **__: object) -> None:
    raise PolysemeError("no room left on the disk for: It cannot be written")


def full_publication(*_: object, **__: object) -> None:
    raise OSError("no room left for catalog.duckdb")


@pytest.mark.usefixtures("corpus")
def test_a_backfill_and_runs_that_fail_are_events_too(
    capfd: pytest.CaptureFixture[str], lake: Path, file: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = lake.parent / "corpus"
    lean = ("--level", "sentences", "--no-nsp")
    assert polyseme(capfd, "embed", corpus, "--lake", lake, *lean)[0] == 0
    file.unlink()
    assert polyseme(capfd, "backfill", "--lake", lake, "--encoding", "polyseme_mini", "--level", "words")[0] == 0
    first, last = events(file)
    assert [one["name"] for one in last["inputs"]] == [f"{lake}/data/documents"]
    assert (first["job"]["name"], last["eventType"]) == ("backfill.lake", "COMPLETE")
    file.unlink()

    (corpus / "new.txt").write_text("A new one. It cannot be written.")
    with monkeypatch.context() as broken:
        broken.setattr(stages, "write_part", full_disk)
        assert polyseme(capfd, "embed", corpus, "--lake", lake, *lean)[0] == 1
    first, last = events(file)
    assert (first["eventType"], last["eventType"]) == ("START", "FAIL")
    assert spans(collector)["embed polyseme_mini"].status.code == 2
    message = last["run"]["facets"]["errorMessage"]["message"]
    assert message == "1 of 1 shard failed after their retries: PolysemeError"
    assert "It cannot be written" not in file.read_text("utf-8")
    file.unlink()

    with monkeypatch.context() as broken:
        broken.setattr("polyseme.flows.runs.lineage.publish", full_publication)
        assert polyseme(capfd, "embed", corpus, "--lake", lake, *lean)[0] == 1
    assert [event["eventType"] for event in events(file)] == ["START", "FAIL"]


_PROBE = """
import atexit, sys
names = ("prefect", "torch", "openlineage", "opentelemetry")
atexit.register(lambda: print("loaded", *sorted({*names} & set(sys.modules)), file=sys.stderr))
from polyseme.flows.cli import main
main()
"""


def test_a_run_without_work_is_observed_without_prefect_or_torch(
    capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path, file: Path, collector: Collector
) -> None:
    lean = ("--level", "sentences", "--no-nsp")
    assert polyseme(capfd, "embed", corpus, "--lake", lake, *lean)[0] == 0
    file.unlink()
    collector.posted.clear()
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    words = ("embed", corpus, "--lake", lake, *lean)
    done = processes.run(sys.executable, "-c", _PROBE, *words, env=environment, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "loaded openlineage opentelemetry")
    first, last = events(file)
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert last["run"]["facets"]["polyseme_run"]["documents"]["unchanged"] == 3
    assert "parent" not in last["run"]["facets"]
    assert set(spans(collector)) == {"embed polyseme_mini", "scan", "publish"}
