"""prefect.yaml: every trigger is one of Prefect's own types, no key is ignored, and only a file of ours is taken."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from polyseme.flows.server.deployments import as_served, deployments_file, read_deployments
from polyseme.storage.errors import UsageError
from tests.repository import ROOT

FILE = ROOT / "prefect.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))


OLD = {
    "polyseme.flows.scheduled.embed_corpora": "flows.operate.embed_corpora",
    "polyseme.flows.scheduled.reconcile": "flows.operate.reconcile",
    "polyseme.flows.backfill.backfill": "flows.backfill.backfill",
    "polyseme.flows.maintain.maintain": "flows.maintain.maintain",
    "polyseme.flows.adapt.adapt_corpora": "flows.pretrain.adapt_corpora",
    "polyseme.flows.coherence.coherence": "flows.coherence.coherence",
}
"""What our entrypoints were called before they had one import name."""


def write(folder: Path, content: Any) -> Path:
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def trigger_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(d for d in content["deployments"] if d["name"] == name)["triggers"][0]


def test_the_file_holds_the_seven_deployments_under_their_flows() -> None:
    names = {as_served(d).full_name for d in read_deployments(FILE)}
    assert names == {
        "embed/on-arrival", "embed/nightly", "reconcile/catch-up", "backfill/adhoc", "maintain/weekly",
        "coherence/on-commit", "adapt/monthly",
    }  # fmt: skip


def test_the_arrival_trigger_waits_for_its_whole_window_and_takes_corpora_one_by_one() -> None:
    (trigger,) = as_served(next(d for d in read_deployments(FILE) if d["name"] == "on-arrival")).triggers
    assert trigger.expect == {"polyseme.source.changed"}
    assert trigger.for_each == {"prefect.resource.id"}
    assert trigger.within == trigger.schedule_after
    assert trigger.within.total_seconds() > 0


@pytest.mark.parametrize("deployment", ["on-arrival", "on-commit"])
@pytest.mark.parametrize(
    ("key", "misspelt"),
    [
        ("expect", "expects"),
        ("within", "whitin"),
        ("parameters", "params"),
        ("match", "matches"),
        ("posture", "postur"),
    ],
)
def test_a_misspelt_key_in_a_trigger_is_refused(tmp_path: Path, deployment: str, key: str, misspelt: str) -> None:
    content = copy.deepcopy(CONTENT)
    trigger = trigger_of(content, deployment)
    trigger[misspelt] = trigger.pop(key)
    with pytest.raises(UsageError, match=rf"{deployment}, trigger .*{misspelt}|{key}"):
        read_deployments(write(tmp_path, content))


def test_a_value_that_prefect_refuses_is_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    trigger_of(content, "on-arrival")["posture"] = "Reactiv"
    with pytest.raises(UsageError, match="posture"):
        read_deployments(write(tmp_path, content))


@pytest.mark.parametrize("where", ["deployment", "schedule"])
def test_misspelt_keys_elsewhere_are_refused(tmp_path: Path, where: str) -> None:
    content = copy.deepcopy(CONTENT)
    nightly = next(d for d in content["deployments"] if d["name"] == "nightly")
    (nightly if where == "deployment" else nightly["schedules"][0])["crom"] = "0 2 * * *"
    with pytest.raises(UsageError, match="no crom"):
        read_deployments(write(tmp_path, content))


def test_the_schedules_are_prefects(tmp_path: Path) -> None:
    served = {d["name"]: as_served(d) for d in read_deployments(FILE)}
    assert served["nightly"].schedules[0].schedule.cron == "0 2 * * *"
    assert served["catch-up"].schedules[0].schedule.interval.total_seconds() == 900
    assert served["catch-up"].concurrency_options.collision_strategy == "CANCEL_NEW"


def test_training_waits_until_somebody_switches_its_schedule_on() -> None:
    (schedule,) = as_served(next(d for d in read_deployments(FILE) if d["name"] == "monthly")).schedules
    assert not schedule.active


def test_a_copy_of_ones_own_goes_before_the_file_that_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert deployments_file() == FILE
    mine = write(tmp_path, CONTENT)
    assert deployments_file() == mine
    theirs = {"name": "etl", "entrypoint": "flows/etl.py:etl"}
    write(tmp_path, {"deployments": [theirs, CONTENT["deployments"][0]]})
    assert deployments_file() == mine


@pytest.mark.parametrize(
    "content",
    [
        {"deployments": [{"name": "etl", "entrypoint": "flows/etl.py:etl"}, {"name": "no entrypoint"}]},
        {"deployments": [{"name": "etl", "entrypoint": "flows.etl.etl", "pull": None}, None]},
        {"deployments": []},
        {"deployments": None},
        {"deployments": "polyseme.flows.backfill.backfill"},
        {"name": "a project without deployments", "pull": [{"prefect.deployments.steps.git_clone": {}}]},
        ["a list"],
        None,
    ],
)
def test_the_prefect_yaml_of_another_project_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, content)
    assert deployments_file() == FILE


def test_a_copy_with_entrypoints_of_before_is_refused_with_their_new_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = copy.deepcopy(CONTENT)
    for deployment in content["deployments"]:
        deployment["entrypoint"] = OLD[deployment["entrypoint"]]
    path = write(tmp_path, content)
    with pytest.raises(UsageError) as refused:
        deployments_file()
    assert str(path) in str(refused.value)
    assert "polyseme deploy" in str(refused.value)
    for new, old in OLD.items():
        assert f"{old} -> {new}" in str(refused.value)


def test_flows_of_another_project_that_are_called_as_ours_once_were_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"deployments": [{"name": "mine", "entrypoint": "flows.backfill.backfill"}]})
    with pytest.raises(UsageError, match=r"polyseme\.flows\.backfill\.backfill"):
        deployments_file()
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "backfill.py").write_text("def backfill(): ...\n")
    assert deployments_file() == FILE


def test_a_prefect_yaml_that_cannot_be_read_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prefect.yaml").write_text("deployments: [")
    with pytest.raises(UsageError, match="cannot be read"):
        deployments_file()
