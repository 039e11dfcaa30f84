"""A pipeline that runs by itself: real server, real worker, real watcher, and every one of them killed in turn."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import MakeCheckpoint
from tests.flows.server.standing import Standing

pytestmark = [pytest.mark.server, pytest.mark.slow]
YET_TO_BEGIN = ("Scheduled", "Late", "Pending")
TEXT = "The river left its bank in spring. The fields were under water for a week. Nobody was hurt. "


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: MakeCheckpoint) -> Iterator[Standing]:
    """A server with everything deployed, and nobody yet to run it."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "news").mkdir()
    (folder / "polyseme.toml").write_text(
        f'[corpus.news]\nsources = ["news"]\nmodel = {json.dumps(str(make_checkpoint()))}\nlevel = "sentences"\n'
    )
    made = Standing(folder)
    try:
        made.start_server()
        made.polyseme("deploy")
        yield made
    finally:
        made.end()


def drop(standing: Standing, *names: str, text: str = TEXT, pause: float = 0.0) -> set[str]:
    """Write files as a careless program does: in place, in two steps."""
    for name in names:
        with (standing.folder / "news" / name).open("w", encoding="utf-8") as file:
            file.write(text[:20])
            file.flush()
            file.write(text[20:])
        time.sleep(pause)
    return set(names)


def notify(standing: Standing) -> None:
    """Say that the corpus changed, as an object store's notification would."""
    send(standing, "polyseme.source.changed", "polyseme.corpus.news")


def heartbeat(standing: Standing, run: str) -> None:
    """Report a flow run alive, as Prefect does from its process."""
    send(standing, "prefect.flow-run.heartbeat", f"prefect.flow-run.{run}")


def send(standing: Standing, event: str, resource: str) -> None:
    at = datetime.now(UTC).isoformat()
    described = {"event": event, "id": str(uuid4()), "occurred": at, "resource": {"prefect.resource.id": resource}}
    standing.post("/events", [described])


def test_deploying_again_changes_nothing_and_the_scheduler_makes_runs(standing: Standing) -> None:
    names = ["embed/on-arrival", "embed/nightly", "reconcile/catch-up", "backfill/adhoc", "maintain/weekly"]
    before = {name: standing.deployment(name)["id"] for name in [*names, "coherence/on-commit", "adapt/monthly"]}
    automations = standing.post("/automations/filter", {})
    standing.polyseme("deploy")
    assert {name: standing.deployment(name)["id"] for name in before} == before
    assert len(standing.post("/automations/filter", {})) == len(automations) == 2
    for name in ("embed/nightly", "reconcile/catch-up", "maintain/weekly"):
        standing.wait(lambda name=name: standing.runs(name, "Scheduled"), f"{name} is scheduled")


def test_a_worker_embeds_what_an_event_announces_and_the_commit_is_reported_on(standing: Standing) -> None:
    standing.start_worker()
    dropped = drop(standing, "first.txt")
    notify(standing)
    standing.wait_for_documents(dropped)
    (run,) = standing.runs("embed/on-arrival")
    assert run["parameters"] == {"corpora": ["news"]}
    standing.wait(lambda: standing.runs("coherence/on-commit", "Completed"), "the commit is reported on")
    (committed,) = events(standing, "polyseme.run.committed")
    assert committed["payload"]["documents"] == 1
    assert committed["resource"]["prefect.resource.id"] == f"polyseme.run.{committed['payload']['run_id']}"
    assert TEXT[:30] not in json.dumps(events(standing, "polyseme."))
    (report,) = standing.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["coherence-report"]}}})
    assert committed["payload"]["run_id"] in report["data"]


def test_a_worker_adapts_a_model_to_its_corpus_and_announces_it(standing: Standing) -> None:
    drop(standing, *(f"taught-{i}.txt" for i in range(6)))
    few = {"training": {"steps": 2, "pairs": 8, "micro": 8}, "objective": {"max_tokens": 48}, "evaluation_pairs": 8}
    standing.wait_for_run(standing.run("adapt/monthly", corpora=["news"], out="models/{corpus}-%Y", **few))
    (adapted,) = standing.wait(lambda: events(standing, "polyseme.model.adapted"), "the model is announced")
    said = adapted["payload"]
    model = Path(said["model"])
    assert model.parent == standing.folder / "models"
    assert {"model.safetensors", "README.md", "evaluation.json", "training.html"} <= {p.name for p in model.iterdir()}
    assert adapted["resource"]["prefect.resource.id"] == f"polyseme.model.{said['fingerprint'][:16]}"
    assert (said["steps"], said["documents"] + said["held_out_documents"]) == (2, len(list(news(standing))))


def test_a_worker_and_its_run_that_are_killed_lose_nothing(standing: Standing) -> None:
    before = staged(standing)
    dropped = drop(standing, "long.txt", text=TEXT * 3000)
    notify(standing)
    standing.wait(lambda: staged(standing) - before, "the run is at work")
    standing.kill("worker")
    standing.kill_flow_runs()
    assert not dropped <= standing.names()
    standing.start_worker()
    standing.wait_for_run(standing.run("reconcile/catch-up"))
    assert dropped <= standing.names()
    assert standing.doubles() == []
    standing.kill("worker")


def test_serve_and_watch_make_rows_of_a_dropped_file_and_a_burst_is_a_few_runs(standing: Standing) -> None:
    standing.start_serve()
    standing.start_watch()
    standing.wait_for_documents(drop(standing, "served.txt"))
    before = len(standing.runs("embed/on-arrival", "Completed"))
    standing.wait_for_documents(drop(standing, *(f"burst-{i:02d}.txt" for i in range(50)), pause=0.05))
    assert len(standing.runs("embed/on-arrival", "Completed", "Running")) - before <= 8
    (standing.folder / "news" / "burst-00.txt").unlink()
    standing.wait(lambda: "burst-00.txt" not in standing.names(), "a removed file is gone from the lake")


def test_a_killed_flow_run_and_a_killed_serve_lose_nothing(standing: Standing) -> None:
    before = staged(standing)
    dropped = drop(standing, "longer.txt", text=TEXT * 3000)
    standing.wait(lambda: staged(standing) - before, "the run is at work")
    assert standing.kill_flow_runs()
    standing.wait(lambda: standing.runs("embed/on-arrival", "Crashed"), "the killed run is said to have crashed")
    before = staged(standing)
    left = standing.run("embed/on-arrival", corpora=["news"])
    standing.wait(lambda: staged(standing) - before, "another run is at work")
    standing.kill("serve")
    standing.kill_flow_runs()
    standing.start_serve(silence=5)
    standing.wait_for_run(standing.run("reconcile/catch-up"))
    assert dropped <= standing.names()
    assert standing.doubles() == []
    standing.wait(lambda: standing.state(left) == "Crashed", "the run of the killed serve is closed")


def test_runs_that_nobody_carries_on_are_closed_and_those_of_another_machine_are_not(standing: Standing) -> None:
    """As a killed serve leaves them: accepted and not begun, and begun. A living one sends heartbeats."""
    submitting = standing.run_as("embed/nightly", "PENDING", "Submitting")
    running, living = (standing.run_as("embed/nightly", "RUNNING", "Running") for _ in range(2))

    def closed() -> bool:
        heartbeat(standing, living)
        return standing.state(submitting) == standing.state(running) == "Crashed"

    standing.wait(closed, "both are closed")
    assert standing.state(living) == "Running"
    standing.wait(lambda: standing.state(living) == "Crashed", "it is closed once it is silent")
    standing.set_state(living, "COMPLETED")
    assert standing.state(living) == "Completed", "a run that was only slow ends as it would have"


def test_a_server_and_a_watcher_that_die_in_a_burst_lose_nothing(standing: Standing) -> None:
    dropped = drop(standing, *(f"early-{i:02d}.txt" for i in range(10)))
    standing.wait_for_documents(dropped)
    standing.wait(lambda: idle(standing), "no run is left to pick up what follows")
    standing.kill("server")
    dropped |= drop(standing, *(f"unheard-{i:02d}.txt" for i in range(10)))
    standing.wait(lambda: "does not answer" in standing.log("watch"), "the watcher notices")
    standing.kill("watch")
    dropped |= drop(standing, *(f"unseen-{i:02d}.txt" for i in range(10)))
    standing.start_server()
    standing.wait_for_run(standing.run("reconcile/catch-up"))
    assert dropped <= standing.names()
    (missed,) = standing.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["reconcile-summary"]}}})
    assert json.loads(missed["data"])[0]["documents"] == len(list((standing.folder / "news").iterdir()))

    standing.start_watch()
    standing.kill("server")
    dropped |= drop(standing, *(f"later-{i:02d}.txt" for i in range(10)))
    standing.wait(lambda: standing.log("watch").count("does not answer") > 1, "the new watcher notices")
    standing.start_server()
    standing.wait_for_documents(dropped)
    assert standing.doubles() == []
    files = {path.name for path in Path(standing.folder / "news").iterdir()}
    assert standing.names() == files
    standing.polyseme("verify", "--lake", "lake")


def news(standing: Standing) -> Iterator[Path]:
    return (standing.folder / "news").iterdir()


def staged(standing: Standing) -> set[Path]:
    """The shards that wait to be encoded or are being encoded, and those that killed runs left behind."""
    return set((standing.folder / "lake" / "staging").glob("*/*.arrow"))


def idle(standing: Standing) -> bool:
    """True where no process runs a flow and none is about to; a killed run may be Running for the server for ever."""
    return not standing.flow_run_processes() and not standing.runs("embed/on-arrival", *YET_TO_BEGIN)


def events(standing: Standing, prefix: str) -> list[dict[str, object]]:
    found = standing.post("/events/filter", {"filter": {"event": {"prefix": [prefix]}}})
    return found["events"]
