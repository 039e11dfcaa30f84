"""Maintenance that is observed: what its events and spans say is what it did, whoever does it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from polyseme.flows.runs import maintenance
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import compaction, restoring
from polyseme.storage.maintenance.compaction import CompactionPolicy
from polyseme.storage.maintenance.vacuum import GRACE
from polyseme.storage.maintenance.verification import verify
from tests import lakes
from tests.extras import require
from tests.flows.observation.conftest import Collector
from tests.flows.test_cli import polyseme

require("openlineage.client", "openlineage")
require("opentelemetry.exporter.otlp.proto.http", "otel")

pytestmark = pytest.mark.extra

from tests.flows.observation.test_lineage import events  # noqa: E402
from tests.flows.observation.test_telemetry import attributes, metrics, spans  # noqa: E402

SPEC = lakes.make_spec()
TEXTS = {"a": ["The river.", "It rose."], "b": ["The bank.", "It held."], "c": ["The court.", "It sat."]}


@pytest.fixture
def file(collector: Collector) -> Path:
    """Both configured by `polyseme.toml` in the working directory."""
    Path("polyseme.toml").write_text(
        f'[openlineage]\nfile = "events.jsonl"\njob = "nightly"\n[opentelemetry]\nendpoint = "{collector.address}"\n'
    )
    return Path("events.jsonl")


@pytest.fixture
def made(lake: Path) -> Lake:
    """A lake of three documents in parts of their own."""
    with Catalog.create_or_open(Lake(lake)) as catalog:
        for name, text in TEXTS.items():
            lakes.commit(catalog, SPEC, {name: text})
    return Lake(lake)


def parts_by_folder(lake: Lake) -> dict[str, Any]:
    with Catalog.open(lake) as catalog, catalog.reading() as connection:
        found = part_rows.live_parts(connection)
    return {f"{lake.root}/data/{part.table}/encoding={part.encoding_id}": part for part in found}


def facet(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event["run"]["facets"]["polyseme_maintenance"]
    return found


def test_a_compaction_rewrites_its_tables(
    capfd: pytest.CaptureFixture[str], made: Lake, file: Path, collector: Collector
) -> None:
    assert polyseme(capfd, "compact", "--lake", str(made.root))[0] == 0
    first, last = events(file)
    assert (first["eventType"], last["eventType"]) == ("START", "COMPLETE")
    assert first["run"]["runId"] == last["run"]["runId"]
    assert last["job"]["name"] == "compact.lake", "the name of a configured job is that of runs"
    assert last["job"]["facets"]["jobType"]["jobType"] == "COMPACT"
    assert first["inputs"] == first["outputs"] == []
    live = parts_by_folder(made)
    assert {one["name"] for one in last["inputs"]} == {one["name"] for one in last["outputs"]} == set(live)
    for one in last["outputs"]:
        written, part = one["outputFacets"]["outputStatistics"], live[one["name"]]
        assert (written["rowCount"], written["size"], written["fileCount"]) == (part.rows, part.bytes, 1)
        assert "doc_id" in {column["name"] for column in one["facets"]["schema"]["fields"]}
    counts = facet(last)["counts"]
    assert (counts["merges"], counts["parts"], counts["rows_dropped"]) == (len(live), 3 * len(live), 0)
    assert "state" not in facet(first)
    with Catalog.open(made) as catalog:
        assert facet(last)["lakeId"] == catalog.lake_id

    span = attributes(spans(collector)["compact"])
    assert (span["polyseme.maintenance.merges"], span["polyseme.maintenance.state"]) == (len(live), "completed")
    assert span["polyseme.lake.id"] == facet(last)["lakeId"]
    assert metrics(collector)["polyseme.maintenance.duration"].histogram.data_points[0].count == 1


def test_a_compaction_without_work_changes_no_table(capfd: pytest.CaptureFixture[str], made: Lake, file: Path) -> None:
    for _ in range(2):
        assert polyseme(capfd, "compact", "--lake", str(made.root))[0] == 0
    last = events(file)[-1]
    assert (last["eventType"], last["outputs"], facet(last)["counts"]["merges"]) == ("COMPLETE", [], 0)


def test_vacuum_removes_files_that_no_table_has(capfd: pytest.CaptureFixture[str], made: Lake, file: Path) -> None:
    before = sum(path.stat().st_size for path in Path(made.root, "data").rglob("*.parquet"))
    with Catalog.open(made) as catalog:
        compaction.compact(catalog)
    assert polyseme(capfd, "vacuum", "--dry-run", "--grace-hours", "0", "--lake", str(made.root))[0] == 0
    assert not file.exists(), "nothing is changed"
    assert polyseme(capfd, "vacuum", "--grace-hours", "0", "--lake", str(made.root))[0] == 0
    first, last = events(file)
    assert (first["eventType"], last["eventType"], last["inputs"], last["outputs"]) == ("START", "COMPLETE", [], [])
    assert facet(last)["counts"]["retired"] == 12
    assert 0 < facet(last)["counts"]["bytes"] <= before


def test_a_restore_changes_the_tables_of_the_encoding(
    capfd: pytest.CaptureFixture[str], made: Lake, file: Path, collector: Collector
) -> None:
    with Catalog.open(made) as catalog:
        catalog.delete_documents(SPEC.encoding_id, ["a"], version=lakes.begin(catalog, SPEC, "deleting"))
        assert restoring.deleted_documents(catalog)
    assert polyseme(capfd, "restore", "--lake", str(made.root))[0] == 0
    assert not file.exists(), "it lists only"
    assert polyseme(capfd, "restore", "--run", "deleting", "--lake", str(made.root))[0] == 0
    last = events(file)[-1]
    assert {one["name"] for one in last["outputs"]} == set(parts_by_folder(made))
    assert all("outputStatistics" not in one["outputFacets"] for one in last["outputs"]), "no part is written"
    assert facet(last)["counts"] == {"documents": 1, "gone": 0}
    assert attributes(spans(collector)["restore"])["polyseme.maintenance.documents"] == 1


def broken_part(lake: Lake) -> Path:
    """Break the newest part of words."""
    with Catalog.open(lake) as catalog, catalog.reading() as connection:
        *_, newest = (part.path for part in part_rows.live_parts(connection) if part.table == "words")
    path = Path(lake.root, newest)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-9])
    return path


def test_a_repair_takes_rows_out_of_the_table_of_the_broken_part(made: Lake, file: Path) -> None:
    path = broken_part(made)
    with Catalog.open(made) as catalog:
        broken = verify(catalog, grace=GRACE, now=datetime.now(UTC)).broken
        (done,) = maintenance.take_out(catalog, broken)
    last = events(file)[-1]
    assert [one["name"] for one in last["outputs"]] == [str(path.parent)]
    assert facet(last)["counts"] == {"retired": 1, "stale": len(done.stale)}
    assert last["job"]["name"] == "repair.lake"


def test_a_broken_part_and_an_error_are_failures(
    capfd: pytest.CaptureFixture[str],
    made: Lake,
    file: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken_part(made)
    assert polyseme(capfd, "compact", "--lake", str(made.root))[0] == 1
    last = events(file)[-1]
    assert (last["eventType"], facet(last)["state"]) == ("FAIL", "failed")
    assert "1 broken part left alone" in last["run"]["facets"]["errorMessage"]["message"]
    assert facet(last)["counts"]["merges"] == len(last["outputs"]) > 0, "what was done is said all the same"
    assert spans(collector)["compact"].status.code == 2

    def full(*_: object, **__: object) -> None:
        raise OSError("no room left for: It rose.")

    monkeypatch.setattr(maintenance, "publish", full)
    with Catalog.open(made) as catalog, pytest.raises(OSError, match="no room"):
        maintenance.compact(catalog, CompactionPolicy(), progress=lambda merge: None)
    last = events(file)[-1]
    assert (last["eventType"], last["run"]["facets"]["errorMessage"]["message"]) == ("FAIL", "OSError")
    assert "It rose" not in file.read_text("utf-8")


def test_ctrl_c_aborts(made: Lake, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compaction, "compact", interrupted)
    with Catalog.open(made) as catalog, pytest.raises(KeyboardInterrupt):
        maintenance.compact(catalog, CompactionPolicy(), progress=lambda merge: None)
    last = events(file)[-1]
    assert (last["eventType"], facet(last)["state"], last["outputs"]) == ("ABORT", "cancelled", [])


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_a_flow_says_what_the_command_says_and_names_its_flow_run(made: Lake, file: Path) -> None:
    from polyseme.flows.maintain import compact_lake, vacuum_lake

    compacted = compact_lake(str(made.root), return_state=True)
    counts = vacuum_lake(str(made.root), grace_hours=0)
    _, compact, _, vacuum = events(file)
    parent = compact["run"]["facets"]["parent"]
    assert (UUID(parent["run"]["runId"]), parent["job"]["name"]) == (compacted.state_details.flow_run_id, "compact")
    assert facet(compact)["counts"] == compacted.result()
    assert (vacuum["run"]["facets"]["parent"]["job"]["name"], facet(vacuum)["counts"]) == ("vacuum", counts)


def test_without_settings_nothing_is_counted(made: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = polyseme(capfd, "compact", "--lake", str(made.root))
    assert (code, "OpenLineage" in err) == (0, False)
    assert not Path("events.jsonl").exists()
