"""Events: what is documented is what is sent, and it holds no text."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime

import pytest
import yaml

from polyseme.flows.events import (
    KINDS,
    CoherenceBreak,
    EncodingChanged,
    ModelAdapted,
    SourceChanged,
    as_event,
    event_id,
)
from polyseme.flows.runs.run_report import RunReport
from polyseme.flows.server.deployments import triggers
from polyseme.storage.records import Counts
from polyseme.tasks.shards.tally import Tally
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {
        cells[0].strip("` "): cells[1:]
        for line in section.splitlines()
        if line.startswith("| `") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }


def test_the_page_names_every_event_with_its_fields_in_order() -> None:
    documented = rows("Payloads")
    assert list(documented) == [kind.name for kind in KINDS] == list(rows("Event reference"))
    for kind in KINDS:
        named = re.findall(r"`(\w+)`(?=[ ,]|$)", re.sub(r"\([^)]*\)", "", documented[kind.name][0]))
        assert named == [field.name for field in fields(kind)], kind.name  # type: ignore[arg-type]


def test_the_page_names_every_resource() -> None:
    shown = {name: cells[0].strip("`") for name, cells in rows("Event reference").items()}
    about = {"run_id": "RUN_ID", "lake": "lake", "lake_id": "LAKE_ID"}
    assert SourceChanged(corpus="NAME", reason="watch-started").resource_id == shown["polyseme.source.changed"]
    encoding = EncodingChanged(**about, encoding="e", encoding_id="ENCODING_ID", previous=None)
    assert encoding.resource_id == shown["polyseme.encoding.changed"]
    adapted = ModelAdapted(
        model="/m", fingerprint="FINGERPRINT", start=None, documents=1, held_out_documents=1, steps=1, tokens=1,
        before={}, after={},
    )  # fmt: skip
    assert adapted.resource_id == shown["polyseme.model.adapted"]
    broken = CoherenceBreak(**about, doc_id="a", after_sentences=(3,), worst_margin=-1.0)
    assert re.fullmatch(shown["polyseme.coherence.break"].replace("HASH", "[0-9a-f]{16}"), broken.resource_id)


def test_the_example_trigger_of_the_page_is_one_that_prefect_takes() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert triggers(yaml.safe_load(example)["triggers"], where="docs/events.md")


def test_an_event_is_what_prefect_takes_and_its_id_is_that_of_its_content() -> None:
    from prefect.events import Event

    payload = SourceChanged(corpus="news", reason="files-settled", files=1, uris=("file:///a.txt",))
    id_ = event_id(payload, "a.txt 5 1")
    event = Event.model_validate(as_event(payload, occurred=datetime.now(UTC), event_id=id_))
    assert event.id == id_ == event_id(payload, "a.txt 5 1") != event_id(payload, "a.txt 6 2")
    assert event.resource.id == "polyseme.corpus.news"
    assert event.payload["uris"] == ("file:///a.txt",)


@pytest.mark.parametrize(
    ("did", "refused", "known", "names"),
    [
        ((2, 0), {}, False, ["polyseme.encoding.changed", "polyseme.run.committed"]),
        ((2, 0), {"empty-text": 3}, True, ["polyseme.run.committed", "polyseme.document.rejected"]),
        ((0, 1), {}, True, ["polyseme.run.committed"]),
        ((0, 0), {}, True, []),
        ((0, 0), {}, False, []),
    ],
)
def test_a_run_emits_only_what_it_changed(
    monkeypatch: pytest.MonkeyPatch, did: tuple[int, int], refused: dict[str, int], known: bool, names: list[str]
) -> None:
    from types import SimpleNamespace

    from polyseme.flows import events

    documents, deleted = did
    emitted: list[events.Payload] = []
    monkeypatch.setattr(events, "emit", emitted.append)
    report = RunReport(
        run_id="r", state="completed", lake="/lake", encoding_id="e1", encoding="mini",
        counts=Counts(documents=documents), tally=Tally(deleted=deleted), shards=1, wall_seconds=1.0,
    )  # fmt: skip
    before = [SimpleNamespace(encoding_id="e0"), *([SimpleNamespace(encoding_id="e1")] if known else [])]
    events.emit_run(report, lake_id="l", known=before, refused=refused)  # type: ignore[arg-type]
    assert [payload.name for payload in emitted] == names
